-- The content of pglogical's catalogs; run only where the schema and its tables are there.
select pg_catalog.format('node %s', n.node_name),
       (select pg_catalog.string_agg(i.if_name::text, ',' order by i.if_name::text) from pglogical.node_interface i where i.if_nodeid = n.node_id)
  from pglogical.node n
union all
select pg_catalog.format('subscription %s', s.sub_name), pg_catalog.format('enabled=%s sets=%s', s.sub_enabled, s.sub_replication_sets)
  from pglogical.subscription s
union all
select pg_catalog.format('replication set %s', s.set_name), pg_catalog.format('%s%s%s%s', s.replicate_insert, s.replicate_update, s.replicate_delete, s.replicate_truncate)
  from pglogical.replication_set s
union all
select pg_catalog.format('replication set %s table %s', s.set_name, t.set_reloid::text), ''
  from pglogical.replication_set_table t
  join pglogical.replication_set s on s.set_id = t.set_id
