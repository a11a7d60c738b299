-- Size (heap and TOAST) and estimated rows of the tables in the replication sets $1, without our own. On the provider.
-- Needs: select on pglogical's tables. Locks: ACCESS SHARE on each table, for a moment.
select n.nspname || '.' || c.relname as name,
       coalesce(pg_catalog.pg_table_size(c.oid), 0) as bytes,
       greatest(case when c.reltuples < 0 then 0 else c.reltuples end::bigint, coalesce(st.n_live_tup, 0)) as rows
  from pglogical.replication_set s
  join pglogical.local_node l on l.node_id = s.set_nodeid
  join pglogical.replication_set_table t using (set_id)
  join pg_catalog.pg_class c on c.oid = t.set_reloid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  left join pg_catalog.pg_stat_all_tables st on st.relid = c.oid
 where s.set_name::text = any ($1) and n.nspname <> 'changeover'
