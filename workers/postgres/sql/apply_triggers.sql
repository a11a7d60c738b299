-- Triggers of applications that fire while replication applies rows: ENABLE ALWAYS and ENABLE REPLICA, clones on partitions
-- included. Changes nothing. $1: the states looked for ({A,R}, {A} or {R}).
select t.tgrelid, n.nspname::text, c.relname::text, t.tgname::text, t.tgenabled::text
  from pg_catalog.pg_trigger t
  join pg_catalog.pg_class c on c.oid = t.tgrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where not t.tgisinternal
   and t.tgenabled::text = any ($1)
   -- the gate doesn't fire on apply, and is needed by the side that applies
   and t.tgfoid is distinct from pg_catalog.to_regprocedure('changeover.gate()')::oid
   and n.nspname not in ('changeover', 'pglogical', 'pg_catalog', 'information_schema')
   and not exists (select from pg_catalog.pg_depend d
                    where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')
 order by n.nspname, c.relname, t.tgname;
