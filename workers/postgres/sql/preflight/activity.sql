-- Who is connected, what has been open for long, and how much of the instance's capacity is taken.
-- Needs pg_monitor: a session that can't be seen has backend_type null and is counted as hidden. Locks: none.
with activity as (
    select a.*, r.rolsuper, coalesce(a.application_name like 'changeover/%', false) as ours
      from pg_catalog.pg_stat_activity a
      left join pg_catalog.pg_roles r on r.oid = a.usesysid
     where a.pid <> pg_catalog.pg_backend_pid()
)
select pg_catalog.jsonb_build_object(
    'hidden', (select pg_catalog.count(*) from activity a where a.backend_type is null),
    'client_backends', (select pg_catalog.count(*) from activity a where a.backend_type = 'client backend' and not a.ours),
    'wal_senders', (select pg_catalog.count(*) from activity a where a.backend_type = 'walsender'),
    -- whatever isn't one of the server's own processes lives in a slot of max_worker_processes
    'workers', (
        select pg_catalog.count(*) from activity a
         where a.backend_type not in ('client backend', 'walsender', 'walreceiver', 'walwriter', 'checkpointer',
                                      'background writer', 'startup', 'archiver', 'logger', 'walsummarizer', 'slotsync worker',
                                      'io worker', 'standalone backend',
                                      'autovacuum launcher', 'autovacuum worker', 'parallel worker')
           and a.backend_type not like 'pglogical%'),
    'supervisor', exists (select from activity a where a.backend_type = 'pglogical supervisor'),
    'sessions', (
        select coalesce(pg_catalog.jsonb_agg(s), '[]') from (
            select a.usename as role, a.datname as database, coalesce(a.rolsuper, false) as superuser,
                   pg_catalog.count(*) as count
              from activity a
             where a.usename is not null and not a.ours and coalesce(a.backend_type, 'client backend') in ('client backend', 'walsender')
             group by 1, 2, 3 order by 1, 2) s),
    'long_transactions', (
        select coalesce(pg_catalog.jsonb_agg(t), '[]') from (
            select a.pid, a.usename as role, a.datname as database, coalesce(a.state, '') as state,
                   a.backend_xid is not null as writes,
                   extract(epoch from pg_catalog.clock_timestamp() - a.xact_start) as seconds
              from activity a
             where a.xact_start is not null and a.backend_type = 'client backend' and not a.ours
             order by a.xact_start limit 50) t),
    'prepared', (
        select coalesce(pg_catalog.jsonb_agg(t), '[]') from (
            select p.gid, p.owner::text as owner, p.database::text as database,
                   extract(epoch from pg_catalog.clock_timestamp() - p.prepared) as seconds
              from pg_catalog.pg_prepared_xacts p order by p.prepared limit 50) t)
)
