-- Slots, origins and sessions of a migration that concern the current database. $1 our subscriptions, $2 our nodes, $3 how
-- the application names of our sessions begin. Needs: pg_monitor, to see other logins' sessions. Locks: none.
-- pglogical names slots and origins pgl_<database>_<provider's node>_<subscription>, each part shortened to 15 bytes by a
-- hash when it's longer than 16 (pglogical.c, shorten_hash; pglogical_functions.c, gen_slot_name).
with part as (
    select s.text as name, case when octet_length(s.text) <= 16 then s.text
                else left(s.text, 8) || left(lpad(to_hex(pg_catalog.hashtext(s.text)), 8, '0'), 7) end as short
      from unnest($1::text[]) s (text)
), node as (
    select case when octet_length(n.text) <= 16 then n.text
                else left(n.text, 8) || left(lpad(to_hex(pg_catalog.hashtext(n.text)), 8, '0'), 7) end as short
      from unnest($2::text[]) n (text)
)
select 'slot ' || s.slot_name || ' of database ' || s.database
  from pg_catalog.pg_replication_slots s
 where s.database = current_database()
   and (s.plugin = 'pglogical_output' or starts_with(s.slot_name::text, 'changeover_'))
union all
-- Origins belong to the instance and don't tell their database: told once per database, when our names are in it.
select 'replication origin ' || o.roname
  from pg_catalog.pg_replication_origin o
 where exists (select from part cross join node
                where position('_' || node.short || '_' || part.short in o.roname) > 0)
union all
select 'session ' || a.pid || ' (' || a.application_name || ')'
  from pg_catalog.pg_stat_activity a
 where a.datname = current_database() and a.pid <> pg_catalog.pg_backend_pid()
   and (starts_with(a.application_name, $3) or exists (select from part where starts_with(a.application_name, part.name)))
