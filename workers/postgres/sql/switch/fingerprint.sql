-- What the fence was prepared for: the relations, their owners and rights, memberships, and the superusers that log in. Under the lock it must
-- be the same as before it: GRANT, CREATE TABLE and CREATE ROLE aren't stopped by a table lock. Roles of applications aren't in
-- it: they lose their login meanwhile, and one that was made too late is found by the fence's commit. Changes nothing.
-- $1: further schemas to leave out (as in relations.sql).
select pg_catalog.md5(coalesce(pg_catalog.string_agg(line, e'\n' order by line), '')) from (
    select c.oid || ' ' || c.relowner || ' ' || c.relkind::text || ' ' || coalesce(c.relacl::text, '-') as line
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'S') and c.relpersistence <> 't'
       and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pglogical', 'changeover', 'rds_tools', 'changeover_escalation')
       and n.nspname <> all ($1::text[])
    union all
    select a.attrelid || '.' || a.attnum || ' ' || a.attacl::text
      from pg_catalog.pg_attribute a
     where a.attacl is not null and a.attnum > 0
    union all
    select 'member ' || m.roleid || ' ' || m.member from pg_catalog.pg_auth_members m
    union all
    select 'role ' || r.oid || ' ' || r.rolsuper::text from pg_catalog.pg_roles r where r.rolcanlogin and r.rolsuper
) x;
