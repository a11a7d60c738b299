-- Who else replicates: slots, origins, subscriptions of the whole instance. Locks: none.
select pg_catalog.jsonb_build_object(
    'slots', (
        select coalesce(pg_catalog.jsonb_agg(s), '[]') from (
            select s.slot_name::text as name, coalesce(s.plugin::text, '') as plugin, s.slot_type as kind, s.database::text as database,
                   s.active, s.temporary, coalesce(s.wal_status, '') as wal_status,
                   case when pg_catalog.pg_is_in_recovery() then 0
                        else coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn), 0) end as retained
              from pg_catalog.pg_replication_slots s order by 1) s),
    'origins', (
        select coalesce(pg_catalog.jsonb_agg(o.roname order by o.roname), '[]') from pg_catalog.pg_replication_origin o),
    'subscriptions', (
        select coalesce(pg_catalog.jsonb_agg(s), '[]') from (
            select s.subname::text as name, d.datname::text as database, s.subenabled as enabled
              from pg_catalog.pg_subscription s join pg_catalog.pg_database d on d.oid = s.subdbid order by 1) s),
    -- archivers and physical standbys hold a place, too
    'standbys', (
        select pg_catalog.count(*) from pg_catalog.pg_replication_slots s where s.slot_type = 'physical')
)
