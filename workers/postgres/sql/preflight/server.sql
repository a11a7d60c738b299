-- Settings of the instance and the rights of the two logins, as one JSON document.
-- $1: the replication login. Needs pg_read_all_settings for shared_preload_libraries (its absence shows as null).
-- Sizes come in bytes, times in milliseconds. Locks: none.
with me as (
    select r.* from pg_catalog.pg_roles r where r.rolname = current_user
), origin_functions as (
    select coalesce(pg_catalog.bool_and(pg_catalog.has_function_privilege(p.oid, 'execute')), false) as ok
      from pg_catalog.pg_proc p
     where p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace and p.proname like 'pg\_replication\_origin\_%'
)
select pg_catalog.jsonb_build_object(
    'in_recovery', pg_catalog.pg_is_in_recovery(),
    'clock', extract(epoch from pg_catalog.clock_timestamp()),
    'uptime_seconds', extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.pg_postmaster_start_time()),
    'wal_bytes', (select w.wal_bytes from pg_catalog.pg_stat_wal w),
    'wal_seconds', (select extract(epoch from pg_catalog.clock_timestamp() - w.stats_reset) from pg_catalog.pg_stat_wal w),
    'is_rds', exists (select from pg_catalog.pg_settings s where s.name like 'rds.%'),
    'settings', (
        select pg_catalog.jsonb_object_agg(s.name, case s.unit
                   when '8kB' then (s.setting::numeric * 8192)::text
                   when 'kB' then (s.setting::numeric * 1024)::text
                   when 'MB' then case when s.setting = '-1' then '-1' else (s.setting::numeric * 1048576)::text end
                   when 's' then (s.setting::numeric * 1000)::text
                   when 'min' then (s.setting::numeric * 60000)::text
                   -- our own sessions look read-only; what others get is its reset value
                   else case s.name when 'default_transaction_read_only' then s.reset_val else s.setting end end)
          from pg_catalog.pg_settings s
         where s.name = any (array[
             'wal_level', 'shared_preload_libraries', 'track_commit_timestamp', 'output_plugin_libraries',
             'max_replication_slots', 'max_wal_senders', 'max_worker_processes', 'max_parallel_workers',
             'max_connections', 'superuser_reserved_connections', 'max_prepared_transactions', 'max_locks_per_transaction',
             'wal_sender_timeout', 'max_slot_wal_keep_size', 'password_encryption', 'fsync', 'full_page_writes',
             'log_error_verbosity', 'idle_session_timeout', 'default_transaction_read_only', 'pglogical.conflict_resolution', 'pglogical.use_spi', 'session_replication_role'])
    ),
    'login', (
        select pg_catalog.jsonb_build_object(
            'name', me.rolname,
            'superuser', me.rolsuper,
            'create_role', me.rolcreaterole,
            'replication', me.rolreplication,
            'bypass_rls', me.rolbypassrls,
            'connection_limit', me.rolconnlimit,
            'monitor', pg_catalog.pg_has_role(me.oid, 'pg_monitor', 'usage'),
            'signal', pg_catalog.pg_has_role(me.oid, 'pg_signal_backend', 'usage'),
            'rds_superuser', exists (
                select from pg_catalog.pg_roles x where x.rolname = 'rds_superuser' and pg_catalog.pg_has_role(me.oid, x.oid, 'member')),
            'rds_replication', exists (
                select from pg_catalog.pg_roles x where x.rolname = 'rds_replication' and pg_catalog.pg_has_role(me.oid, x.oid, 'member')),
            'origin_functions', (select ok from origin_functions),
            'origin_status', pg_catalog.has_table_privilege('pg_catalog.pg_replication_origin_status', 'select'),
            'set_replication_role', pg_catalog.has_parameter_privilege('session_replication_role', 'set'))
          from me
    ),
    'replication_login', (
        select pg_catalog.jsonb_build_object(
            'name', r.rolname,
            'login', r.rolcanlogin,
            'superuser', r.rolsuper,
            'replication', r.rolreplication,
            'bypass_rls', r.rolbypassrls,
            'connection_limit', r.rolconnlimit,
            'rds_replication', exists (
                select from pg_catalog.pg_roles x where x.rolname = 'rds_replication' and pg_catalog.pg_has_role(r.oid, x.oid, 'member')))
          from pg_catalog.pg_roles r where r.rolname = $1
    ),
    'role_settings', (
        -- database null: for all databases; role null: for all roles
        select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                   'role', r.rolname, 'database', d.datname,
                   'name', pg_catalog.split_part(c.entry, '=', 1),
                   'value', pg_catalog.substr(c.entry, pg_catalog.strpos(c.entry, '=') + 1))), '[]')
          from pg_catalog.pg_db_role_setting s
          left join pg_catalog.pg_roles r on r.oid = s.setrole
          left join pg_catalog.pg_database d on d.oid = s.setdatabase
         cross join lateral pg_catalog.unnest(s.setconfig) c(entry)
         where (s.setrole = 0 or r.rolname in ($1, current_user))
           and (pg_catalog.split_part(c.entry, '=', 1) in (
                    'idle_session_timeout', 'default_transaction_read_only', 'session_replication_role')
                -- our sessions and those of nodes say otherwise; the workers on the server itself don't
                or s.setrole = 0 and pg_catalog.split_part(c.entry, '=', 1) = 'lock_timeout')
    )
)
