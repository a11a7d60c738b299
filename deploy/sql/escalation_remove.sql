-- Removes what escalation.sql has installed. Run by a superuser with psql, once in every database, when the migration has
-- ended (finalized or aborted):
--
--   psql -v ON_ERROR_STOP=1 -v login=changeover -d DATABASE -f escalation_remove.sql
--
-- The audit table goes too: keep a copy first if you want one. Running it again changes nothing.

\set ON_ERROR_STOP on
begin;
drop schema if exists changeover_escalation cascade;
select pg_catalog.format('revoke execute on function %s from %I', p.oid::pg_catalog.regprocedure, :'login')
  from pg_catalog.pg_proc p
 where p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
   and p.proname like 'pg\_replication\_origin\_%' \gexec
select pg_catalog.format('revoke select on pg_catalog.pg_replication_origin_status from %I', :'login') \gexec
select pg_catalog.format('revoke set on parameter session_replication_role from %I', :'login') \gexec

-- The initial privileges follow the rights as they are now.
update pg_catalog.pg_init_privs i set initprivs = p.proacl
  from pg_catalog.pg_proc p
 where i.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass and i.objoid = p.oid and i.objsubid = 0
   and p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace and p.proname like 'pg\_replication\_origin\_%' and p.proacl is not null;
update pg_catalog.pg_init_privs i set initprivs = c.relacl
  from pg_catalog.pg_class c
 where i.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass and i.objoid = c.oid and i.objsubid = 0
   and c.oid = 'pg_catalog.pg_replication_origin_status'::pg_catalog.regclass and c.relacl is not null;
commit;
