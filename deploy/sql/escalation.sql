-- Outside RDS: the one door between the migration's login, which is no superuser, and the few things that PostgreSQL reserves
-- for superusers and RDS does not. Run by a superuser with psql, once in every database that moves, on both sides:
--
--   psql -v ON_ERROR_STOP=1 -v login=changeover -v replication=changeover_repl -d DATABASE -f escalation.sql
--
-- `login` is the spec's source.user or target.user, `replication` its replication.user; both exist before. Then say in the spec:
--   escalation = "changeover_escalation.escalate"
-- Needs: superuser, PostgreSQL 15 or newer. Locks: none that anybody notices. Running it again changes nothing.
-- To remove it when the migration is over: deploy/sql/escalation_remove.sql.

\set ON_ERROR_STOP on
begin;

-- What RDS grants to rds_superuser by itself, on the instance.
select pg_catalog.format('grant set on parameter session_replication_role to %I', :'login') \gexec

-- In this database: replication origins (the copy into a table notes its origin), and reading their status.
select pg_catalog.format('grant execute on function %s to %I', p.oid::pg_catalog.regprocedure, :'login')
  from pg_catalog.pg_proc p
 where p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
   and p.proname like 'pg\_replication\_origin\_%' \gexec
select pg_catalog.format('grant select on pg_catalog.pg_replication_origin_status to %I', :'login') \gexec

-- pg_dump must not take these grants for something of the application: recorded as initial, it leaves them out.
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

create schema if not exists changeover_escalation;
revoke all on schema changeover_escalation from public;

-- Who may ask, and the login that pglogical reads as.
create table if not exists changeover_escalation.logins (
    migration   name primary key,
    replication name not null
);
revoke all on changeover_escalation.logins from public;
insert into changeover_escalation.logins (migration, replication) values (:'login', :'replication')
on conflict (migration) do update set replication = excluded.replication;

-- Who asked for what, and when. Only the function below writes here.
create table if not exists changeover_escalation.audit (
    id       bigint generated always as identity primary key,
    at       timestamptz not null default pg_catalog.clock_timestamp(),
    login    name not null,
    action   text not null,
    argument text
);
revoke all on changeover_escalation.audit from public;

-- A closed list: any other action is refused. `session_user` is the login, whatever SET ROLE says.
create or replace function changeover_escalation.escalate(action text, argument text)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    reader name;
begin
    select l.replication into reader from changeover_escalation.logins l where l.migration = session_user;
    if reader is null then
        raise exception 'changeover_escalation.escalate: % is not a migration''s login', session_user using errcode = '42501';
    end if;
    if action in ('create_event_trigger', 'drop_event_trigger')
       and (argument is null or argument !~ '^changeover_[a-z0-9_]+$' or pg_catalog.length(argument) > 58) then
        raise exception 'changeover_escalation.escalate: an event trigger''s name must match ^changeover_[a-z0-9_]+$'
            using errcode = '42602';
    end if;

    if action = 'create_extension_pglogical' then
        -- RDS lets rds_superuser do it: Amazon RDS User Guide, "Setting up the pglogical extension".
        create extension if not exists pglogical;
        -- Whoever drops anything, a temporary table too, is asked for USAGE by pglogical's hook on drops. Its functions are for
        -- the two logins alone: most don't ask for rights, and everybody may call them by default.
        grant usage on schema pglogical to public;
        revoke execute on all functions in schema pglogical from public;
        execute pg_catalog.format('grant execute on all functions in schema pglogical to %I, %I', session_user, reader);
        execute pg_catalog.format('grant usage on schema pglogical to %I', session_user);
        execute pg_catalog.format('grant select on all tables in schema pglogical to %I', session_user);
        -- No more than the list of tables: node_interface holds the passwords of connection strings.
        execute pg_catalog.format('grant usage on schema pglogical to %I', reader);
        execute pg_catalog.format('grant select on pglogical.tables to %I', reader);
    elsif action = 'drop_extension_pglogical' then
        -- The same page. DROP EXTENSION leaves the schema behind; it is empty, or this fails.
        drop extension if exists pglogical;
        drop schema if exists pglogical;
    elsif action = 'create_event_trigger' then
        -- RDS: Amazon RDS User Guide, "Event triggers for RDS for PostgreSQL". A fixed function, under these names only.
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
        raise exception 'changeover_escalation.escalate: action % is not one of create_extension_pglogical, '
            'drop_extension_pglogical, create_event_trigger, drop_event_trigger', pg_catalog.quote_nullable(action)
            using errcode = '0A000';
    end if;

    insert into changeover_escalation.audit (login, action, argument) values (session_user, action, argument);
end
$$;
revoke all on function changeover_escalation.escalate(text, text) from public;
select pg_catalog.format('grant usage on schema changeover_escalation to %I', :'login') \gexec
select pg_catalog.format('grant execute on function changeover_escalation.escalate(text, text) to %I', :'login') \gexec

commit;
