-- Tables that applications may write and that have no working gate: not both triggers of ours before every statement that writes,
-- in every mode of replication. Parents of partitions and leaves each need one. Changes nothing, takes no locks on tables. One scan each
-- of two catalogs, so that it may be asked under the fence.
-- $1: the gate's function; $2: further schemas to leave out (as in switch/relations.sql); $3: the most that are named.
with bare as materialized (
    -- few, unless the fence must not be: what else is asked is asked of these alone
    select c.oid, c.relname, c.relnamespace
      from pg_catalog.pg_class c
     where c.relkind in ('r', 'p') and c.relpersistence <> 't'
       -- BEFORE (2), INSERT (4), DELETE (8), UPDATE (16), TRUNCATE (32), not FOR EACH ROW (1); no list of columns
       and (c.oid not in (
                select t.tgrelid from pg_catalog.pg_trigger t
                 where t.tgfoid = $1 and t.tgtype = 30 and t.tgenabled = 'A' and not t.tgisinternal
                   and t.tgqual is null and t.tgattr = ''::pg_catalog.int2vector)
            or c.oid not in (
                select t.tgrelid from pg_catalog.pg_trigger t
                 where t.tgfoid = $1 and t.tgtype = 34 and t.tgenabled = 'A' and not t.tgisinternal))
)
select n.nspname::text, b.relname::text
  from bare b join pg_catalog.pg_namespace n on n.oid = b.relnamespace
 where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pglogical', 'changeover', 'rds_tools')
   and n.nspname <> all ($2::text[])
   and not exists (select from pg_catalog.pg_depend d
                    where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = b.oid and d.deptype = 'e')
 order by b.oid
 limit $3;
