-- The next transaction that a slot has for its subscriber: one row per change, without any value but the key's.
-- $1 the slot, which nobody reads now; $2 our replication sets, separated by commas; $3 the position up to which the subscriber
-- has applied. On the provider. Needs: the right to replicate. Locks: none. Reads WAL: give it a statement_timeout.
-- pglogical's own output in JSON; its sets of columns and rows are those of the real stream.
with peeked as materialized (
    select p.lsn, p.xid, p.data::json as change, pg_catalog.row_number() over () as n
      from pg_catalog.pg_logical_slot_peek_changes($1::text::name, null, 200,
               'startup_params_format', '1', 'min_proto_version', '1', 'max_proto_version', '1', 'proto_format', 'json',
               'expected_encoding', 'UTF8', 'pglogical.replication_set_names', $2::text) p
), next as (
    select p.xid from peeked p group by p.xid
    having pg_catalog.max(p.lsn) > $3::text::pg_catalog.pg_lsn and pg_catalog.bool_or(p.change ->> 'action' in ('I', 'U', 'D'))
     order by pg_catalog.min(p.n) limit 1
), change as (
    select p.n, p.change ->> 'action' as action, p.change -> 'relation' ->> 0 as schema, p.change -> 'relation' ->> 1 as name,
           coalesce(p.change -> 'newtuple', p.change -> 'oldtuple') as row
      from peeked p join next using (xid) where p.change ->> 'action' in ('I', 'U', 'D')
)
select case when q.truncate then 'T' else c.action end as action,
       case when q.truncate then c.row -> 'message' ->> 'schema_name' else c.schema end as schema,
       case when q.truncate then c.row -> 'message' ->> 'table_name' else c.name end as name,
       case when q.truncate then '{}'::text[]
            else array (select pg_catalog.json_object_keys(c.row)) end as columns,
       (select pg_catalog.string_agg(a.attname || '=' || coalesce(pg_catalog.left(c.row ->> a.attname, 60), 'null'), ', ' order by k.position)
          from pg_catalog.pg_namespace s
          join pg_catalog.pg_class r on r.relnamespace = s.oid
          join pg_catalog.pg_index i on i.indrelid = r.oid
                                    and case r.relreplident when 'i' then i.indisreplident else i.indisprimary end
         cross join lateral pg_catalog.unnest(i.indkey::int2[]) with ordinality k (attnum, position)
          join pg_catalog.pg_attribute a on a.attrelid = r.oid and a.attnum = k.attnum
         where s.nspname = c.schema and r.relname = c.name and not q.truncate) as key
  from change c
 cross join lateral (select c.schema = 'pglogical' and c.name = 'queue' and c.row ->> 'message_type' = 'T' as truncate) q
 order by c.n
