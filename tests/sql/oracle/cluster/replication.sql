-- Slots, origins, subscriptions and what waits to be committed: all that a migration may leave on a cluster.
select pg_catalog.format('slot %s', slot_name),
       pg_catalog.format('plugin=%s database=%s', coalesce(plugin::text, 'physical'), coalesce(database::text, ''))
  from pg_catalog.pg_replication_slots
 where not temporary
union all
select pg_catalog.format('origin %s', roname), ''
  from pg_catalog.pg_replication_origin
union all
select pg_catalog.format('subscription %s', s.subname),
       pg_catalog.format('database=%s enabled=%s publications=%s', d.datname, s.subenabled, s.subpublications)
  from pg_catalog.pg_subscription s
  join pg_catalog.pg_database d on d.oid = s.subdbid
union all
select pg_catalog.format('prepared transaction %s', gid), database::text
  from pg_catalog.pg_prepared_xacts
