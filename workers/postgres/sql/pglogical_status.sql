-- One subscription of pglogical with the state of its tables. $1 its name. On the subscriber; no row when there is none.
-- Needs: usage on schema pglogical and select on its tables. Locks: none.
select (select oid from pg_catalog.pg_database where datname = current_database()) as database_oid,
       s.sub_id as id,
       s.sub_slot_name::text as slot,
       s.sub_enabled as enabled,
       coalesce(st.status, 'unknown') as status,
       coalesce((select l.sync_status::text from pglogical.local_sync_status l
                  where l.sync_subid = s.sub_id and l.sync_relname is null), '') as sync,
       t.tables,
       t.tables_ready,
       coalesce(t.unready[1:5], '{}') as unready
  from pglogical.subscription s
 cross join lateral pglogical.show_subscription_status(s.sub_name) st
 cross join lateral (
       select count(*) as tables,
              count(*) filter (where l.sync_status = 'r') as tables_ready,
              array_agg(l.sync_nspname || '.' || l.sync_relname order by 1) filter (where l.sync_status <> 'r') as unready
         from pglogical.local_sync_status l
        where l.sync_subid = s.sub_id and l.sync_relname is not null) t
 where s.sub_name = $1::text::name
