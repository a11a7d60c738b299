-- What a migration may have left in the current database. $1 name of the DDL guard. Needs: nothing. Locks: none.
select 'schema changeover in database ' || current_database()
 where exists (select from pg_catalog.pg_namespace where nspname = 'changeover')
union all
select 'event trigger ' || evtname || ' in database ' || current_database()
  from pg_catalog.pg_event_trigger where evtname::text in ($1, $1 || '_end', $1 || '_drop')
union all
select 'triggers changeover_gate on ' || count(distinct tgrelid) || ' tables in database ' || current_database()
  from pg_catalog.pg_trigger where tgname in ('changeover_gate', 'changeover_gate_truncate') having count(*) > 0
union all
select 'empty schema pglogical in database ' || current_database()
 where exists (select from pg_catalog.pg_namespace where nspname = 'pglogical')
   and not exists (select from pg_catalog.pg_extension where extname = 'pglogical')
union all
-- Publications and native subscriptions are none of pglogical's; ours would carry our name.
select 'publication ' || pubname || ' in database ' || current_database()
  from pg_catalog.pg_publication where starts_with(pubname::text, 'changeover_')
