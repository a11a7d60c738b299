-- How much there is to copy. $1: schemas of tools. Locks: AccessShareLock on each table, for the moment of measuring.
select pg_catalog.jsonb_build_object('bytes', coalesce(pg_catalog.sum(pg_catalog.pg_table_size(c.oid)), 0))
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'r' and c.relpersistence <> 't'
   and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and n.nspname <> all ($1::text[])
