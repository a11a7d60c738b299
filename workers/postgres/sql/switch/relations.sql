-- Relations that applications may write: tables, partitioned tables (parents and leaves) and sequences of every schema but the
-- system's, pglogical's, ours and the escalation's; members of extensions aside. Changes nothing, takes no locks.
-- $1: further schemas to leave out.
select c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relowner,
       pg_catalog.pg_has_role(current_user, c.relowner, 'usage') as ours, pg_catalog.pg_get_userbyid(c.relowner)::text as owner
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p', 'S') and c.relpersistence <> 't'
   and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pglogical', 'changeover', 'rds_tools')
   and n.nspname <> all ($1::text[])
   and not exists (select from pg_catalog.pg_depend d
                    where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')
 order by c.oid;
