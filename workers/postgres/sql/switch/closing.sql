-- What the gate asks of the instance that is to be closed. Changes nothing.
-- $1: databases of the migration; $2: application roles; $3: the migration's logins; $4: roles that the spec keeps.
select pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_sessions,
       -- a transaction that has written, or any of an application's (a pooler's pause waits for those that only read as well)
       (select coalesce(max(extract(epoch from clock_timestamp() - a.xact_start) * 1000), 0)::bigint
          from pg_catalog.pg_stat_activity a
         where a.backend_type = 'client backend' and a.xact_start is not null and a.pid <> pg_catalog.pg_backend_pid()
           and (a.backend_xid is not null or a.usename = any ($2::text[]))
           and not (a.usename = any ($3::text[]) and a.application_name like 'changeover/%')) as oldest_ms,
       (select count(*) from pg_catalog.pg_prepared_xacts p where p.database = any ($1::text[])) as prepared,
       (select s.setting::bigint from pg_catalog.pg_settings s where s.name = 'deadlock_timeout') as deadlock_timeout_ms,
       -- vacuums that don't give way to a lock request
       (select coalesce(pg_catalog.array_agg(distinct v.datname || ' (relation ' || v.relid || ')'), '{}')
          from pg_catalog.pg_stat_progress_vacuum v
          join pg_catalog.pg_stat_activity a on a.pid = v.pid
         where v.datname = any ($1::text[])
           and (a.backend_type <> 'autovacuum worker' or a.query like '%(to prevent wraparound)%'))::text[] as vacuums,
       (select coalesce(pg_catalog.array_agg(x.problem), '{}') from (
            select 'the migration''s login ' || a.usename || ' has a session that isn''t Changeover''s (pid ' || a.pid || ')' as problem
              from pg_catalog.pg_stat_activity a
             where a.usename = any ($3::text[]) and a.application_name not like 'changeover/%' and a.backend_type = 'client backend'
               and a.datname = any ($1::text[]) and a.application_name not like 'pglogical%' and a.application_name not like 'changeover\_%'
            union all
            select 'role ' || r.rolname || ' is kept by the spec and may write everything (pg_write_all_data)'
              from pg_catalog.pg_roles r
             where r.rolname = any ($4::text[]) and not r.rolsuper and pg_catalog.pg_has_role(r.oid, 'pg_write_all_data', 'member')
            union all
            select 'role ' || r.rolname || ' has REPLICATION: the login can''t close it'
              from pg_catalog.pg_roles r where r.rolname = any ($2::text[]) and r.rolreplication
            union all
            select 'role ' || r.rolname || ' can''t be closed: the login has no ADMIN OPTION on it'
              from pg_catalog.pg_roles r
             where r.rolname = any ($2::text[]) and pg_catalog.current_setting('server_version_num')::int >= 160000
               and not pg_catalog.pg_has_role(current_user, r.oid, 'member with admin option')
            union all
            select 'the login has no CREATEROLE: it can''t close other roles'
              from pg_catalog.pg_roles r where r.rolname = current_user and not r.rolcreaterole and not r.rolsuper) x)::text[] as unfenceable;
