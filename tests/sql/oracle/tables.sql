-- Every table whose rows have to be the same on both sides, with its columns in their order and the columns of its key.
-- Partitions each by themselves; a partitioned parent holds no rows.
select pg_catalog.format('%I.%I', n.nspname, c.relname) as name,
       coalesce((select pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' order by a.attnum)
                   from pg_catalog.pg_attribute a
                  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '') as columns,
       coalesce((select pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' order by k.position)
                   from pg_catalog.pg_index i
                  cross join lateral pg_catalog.unnest(i.indkey::pg_catalog.int2[]) with ordinality as k (attnum, position)
                   join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
                  where i.indrelid = c.oid and i.indisprimary and k.position <= i.indnkeyatts), '') as key
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'r'
   and c.relpersistence <> 't'
   and n.nspname !~ '^pg_'
   and n.nspname not in ('information_schema', 'changeover', 'pglogical', 'rds_tools')
