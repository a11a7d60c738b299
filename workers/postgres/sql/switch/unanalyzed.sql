-- Tables that hold rows and were never analyzed: neither a count nor statistics of a column. Changes nothing.
-- `reltuples` is -1 until the first VACUUM or ANALYZE; before PostgreSQL 14 it is 0 with `relpages` 0, which can't be told from a
-- table that was empty when it was analyzed. Such a table may have got rows since: autovacuum looks after those.
select n.nspname || '.' || c.relname
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where (c.relkind in ('r', 'm') or c.relkind = 'p' and c.relhassubclass) and c.relpersistence <> 't' and c.relispopulated
   and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pglogical', 'changeover')
   and pg_catalog.pg_has_role(c.relowner, 'usage')
   and (c.reltuples < 0
        or c.reltuples = 0 and c.relpages = 0 and pg_catalog.current_setting('server_version_num')::integer < 140000)
   and (c.relkind = 'p' or pg_catalog.pg_relation_size(c.oid) > 0)
   and not exists (select from pg_catalog.pg_stats s where s.schemaname = n.nspname and s.tablename = c.relname)
   -- a partitioned table without rows has nothing to know
   and (c.relkind <> 'p' or exists (select from pg_catalog.pg_partition_tree(c.oid) t
                                     where t.isleaf and pg_catalog.pg_relation_size(t.relid) > 0))
 order by 1 limit 3;
