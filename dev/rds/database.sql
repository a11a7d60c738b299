-- Run by the bootstrap superuser in every database that the cluster has from the start (template0 and template1 included, so
-- that each database created later inherits it). Running it again changes nothing.

begin;

-- RDS: replication origins are open to rds_superuser; vanilla PostgreSQL reserves them for superusers.
do $$
declare
    f regprocedure;
begin
    for f in
        select p.oid::pg_catalog.regprocedure
          from pg_catalog.pg_proc p
         where p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
           and p.proname like 'pg\_replication\_origin\_%'
    loop
        execute pg_catalog.format('grant execute on function %s to rds_superuser', f);
    end loop;
end
$$;
grant select on pg_catalog.pg_replication_origin_status to rds_superuser;

-- On RDS these rights are part of the server as installed. Recording them as initial privileges says the same, so that
-- pg_dump does not take them for something the application's owner granted.
create temporary table opened on commit drop as
select p.oid as objoid, 'pg_catalog.pg_proc'::pg_catalog.regclass as classoid, p.proacl as acl
  from pg_catalog.pg_proc p
 where p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
   and p.proname like 'pg\_replication\_origin\_%'
union all
select c.oid, 'pg_catalog.pg_class'::pg_catalog.regclass, c.relacl
  from pg_catalog.pg_class c
 where c.oid = 'pg_catalog.pg_replication_origin_status'::pg_catalog.regclass;
delete from pg_catalog.pg_init_privs p using opened o
 where p.objoid = o.objoid and p.classoid = o.classoid and p.objsubid = 0;
insert into pg_catalog.pg_init_privs (objoid, classoid, objsubid, privtype, initprivs)
select objoid, classoid, 0, 'i', acl from opened;

create schema if not exists rds_tools;
revoke all on schema rds_tools from public;
grant usage on schema rds_tools to changeover;

-- Who asked for what, and when. Only the bootstrap superuser writes here, through the function below.
create table if not exists rds_tools.audit (
    id       bigint generated always as identity primary key,
    at       timestamptz not null default pg_catalog.clock_timestamp(),
    login    name not null,
    action   text not null,
    argument text
);
revoke all on rds_tools.audit from public;

-- The one door between the master user and what vanilla PostgreSQL reserves for superusers and RDS does not. A closed list:
-- any other action is refused. `session_user` is the login, whatever SET ROLE says.
create or replace function rds_tools.escalate(action text, argument text)
returns void
language plpgsql
security definer
set search_path = pg_catalog
as $$
begin
    if action in ('create_event_trigger', 'drop_event_trigger')
       and (argument is null or argument !~ '^changeover_[a-z0-9_]+$' or pg_catalog.length(argument) > 58) then
        raise exception 'rds_tools.escalate: an event trigger''s name must match ^changeover_[a-z0-9_]+$'
            using errcode = '42602';
    end if;

    if action = 'create_extension_pglogical' then
        -- Amazon RDS User Guide, "Setting up the pglogical extension": a login with rds_superuser runs
        -- CREATE EXTENSION pglogical, and its nodes, sets and subscriptions.
        create extension if not exists pglogical;
        -- Whoever drops anything, a temporary table too, is asked for USAGE by pglogical's hook on drops. Its functions are for
        -- the two logins alone: most don't ask for rights, and everybody may call them by default.
        grant usage on schema pglogical to public;
        revoke execute on all functions in schema pglogical from public;
        execute pg_catalog.format('grant execute on all functions in schema pglogical to %I', session_user);
        execute pg_catalog.format('grant usage on schema pglogical to %I', session_user);
        execute pg_catalog.format('grant select on all tables in schema pglogical to %I', session_user);
        if exists (select from pg_catalog.pg_roles where rolname = 'changeover_repl') then
            -- No more than the list of tables: node_interface holds the passwords of connection strings.
            grant usage on schema pglogical to changeover_repl;
            grant select on pglogical.tables to changeover_repl;
            grant execute on all functions in schema pglogical to changeover_repl;
        end if;
    elsif action = 'drop_extension_pglogical' then
        -- Amazon RDS User Guide, "Managing logical replication slots for RDS for PostgreSQL" (tearing pglogical down).
        -- DROP EXTENSION leaves the schema behind; it is empty, or this fails.
        drop extension if exists pglogical;
        drop schema if exists pglogical;
    elsif action = 'create_event_trigger' then
        -- Amazon RDS User Guide, "Event triggers for RDS for PostgreSQL": the main user account may create, modify, rename
        -- and delete event triggers.
        execute pg_catalog.format(
            'create event trigger %I on ddl_command_start execute function changeover.refuse_ddl()', argument);
        execute pg_catalog.format(
            'create event trigger %I on ddl_command_end execute function changeover.refuse_ddl()', argument || '_end');
        execute pg_catalog.format(
            'create event trigger %I on sql_drop execute function changeover.refuse_ddl()', argument || '_drop');
    elsif action = 'drop_event_trigger' then
        -- The same page.
        execute pg_catalog.format('drop event trigger if exists %I', argument);
        execute pg_catalog.format('drop event trigger if exists %I', argument || '_end');
        execute pg_catalog.format('drop event trigger if exists %I', argument || '_drop');
    else
        raise exception 'rds_tools.escalate: action % is not one of create_extension_pglogical, drop_extension_pglogical, '
            'create_event_trigger, drop_event_trigger', pg_catalog.quote_nullable(action)
            using errcode = '0A000';
    end if;

    insert into rds_tools.audit (login, action, argument) values (session_user, action, argument);
end
$$;
revoke all on function rds_tools.escalate(text, text) from public;
grant execute on function rds_tools.escalate(text, text) to changeover;

commit;
