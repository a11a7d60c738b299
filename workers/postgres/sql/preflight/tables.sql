-- The application's tables with what decides whether and how they can be replicated.
-- $1: schemas of tools, which are not the application's. Locks: none; a fixed number of scans of the catalogs.
with relations as (
    select c.*, n.nspname
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'f')
       and c.relpersistence <> 't'
       and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and n.nspname <> all ($1::text[])
       and not exists (
           select from pg_catalog.pg_depend d
            where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')
), indexes as (
    select i.indrelid,
           pg_catalog.max(x.relname::text) filter (where i.indisprimary) as primary_key,
           pg_catalog.array_agg(x.reltablespace) as tablespaces,
           coalesce(pg_catalog.bool_or(i.indisprimary and not i.indimmediate), false) as primary_key_deferrable,
           pg_catalog.max(x.relname::text) filter (where i.indisreplident and i.indisvalid) as identity_index,
           pg_catalog.array_agg(x.relname::text order by x.relname) filter (where i.indisunique and not i.indimmediate) as deferrable,
           pg_catalog.array_agg(x.relname::text order by x.relname) filter (where not i.indisvalid and x.relkind = 'i') as invalid,
           -- what could serve as replica identity (documentation, ALTER TABLE, REPLICA IDENTITY USING INDEX)
           pg_catalog.array_agg(x.relname::text order by i.indnkeyatts, x.relname) filter (
               where i.indisunique and i.indisvalid and i.indimmediate and not i.indisprimary
                 and i.indpred is null and i.indexprs is null
                 and not exists (
                     select from pg_catalog.unnest(i.indkey::int2[]) with ordinality k(attnum, position)
                       join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                      where k.position <= i.indnkeyatts and not a.attnotnull)) as candidates
      from pg_catalog.pg_index i
      join relations r on r.oid = i.indrelid
      join pg_catalog.pg_class x on x.oid = i.indexrelid
     group by i.indrelid
), columns as (
    select a.attrelid,
           pg_catalog.array_agg(a.attname::text order by a.attnum) filter (where a.attgenerated <> '') as generated,
           -- pglogical sends these, arrays and domains of them included, as the source's object numbers (tried with 2.4.2)
           pg_catalog.array_agg(a.attname::text || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod) order by a.attnum) filter (
               where coalesce(nullif(b.typelem, 0), nullif(t.typelem, 0), b.oid, t.oid) in (
                         'regclass'::regtype, 'regcollation'::regtype, 'regconfig'::regtype, 'regdictionary'::regtype,
                         'regnamespace'::regtype, 'regoper'::regtype, 'regoperator'::regtype, 'regproc'::regtype,
                         'regprocedure'::regtype, 'regrole'::regtype, 'regtype'::regtype)) as numbered
      from pg_catalog.pg_attribute a
      join relations r on r.oid = a.attrelid
      join pg_catalog.pg_type t on t.oid = a.atttypid
      left join pg_catalog.pg_type b on b.oid = t.typbasetype
     where a.attnum > 0 and not a.attisdropped
     group by a.attrelid
)
select coalesce(pg_catalog.jsonb_agg(t order by t.schema, t.name), '[]') from (
    select r.nspname::text as schema, r.relname::text as name, r.relkind as kind, r.relpersistence as persistence,
           o.rolname::text as owner,
           r.relreplident as replica_identity,
           i.primary_key, coalesce(i.primary_key_deferrable, false) as primary_key_deferrable, i.identity_index,
           coalesce(i.candidates, '{}') as candidates, coalesce(i.deferrable, '{}') as deferrable,
           coalesce(i.invalid, '{}') as invalid_indexes,
           coalesce(c.generated, '{}') as generated, coalesce(c.numbered, '{}') as numbered,
           -- what Changeover does as a member of the owner, and the owner may have taken from himself
           pg_catalog.array_remove(array[
               case when not pg_catalog.has_table_privilege(r.relowner, r.oid, 'select') then 'SELECT' end,
               case when not pg_catalog.has_table_privilege(r.relowner, r.oid, 'insert') then 'INSERT' end,
               case when not pg_catalog.has_table_privilege(r.relowner, r.oid, 'update, delete, truncate') then 'TRUNCATE' end], null) as owner_lacks,
           r.relrowsecurity as row_security, r.relforcerowsecurity as force_row_security,
           coalesce((
               select pg_catalog.array_agg(distinct sp.spcname::text)
                 from pg_catalog.pg_tablespace sp
                where sp.oid = r.reltablespace or sp.oid = any (i.tablespaces)), '{}') as tablespaces,
           (select pn.nspname || '.' || p.relname
              from pg_catalog.pg_class p join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
             where r.relispartition and p.oid = pg_catalog.pg_partition_root(r.oid)) as root,
           coalesce(s.n_tup_upd, 0) as updates, coalesce(s.n_tup_del, 0) as deletes,
           greatest(coalesce(s.n_live_tup, 0), r.reltuples::bigint, 0) as rows
      from relations r
      join pg_catalog.pg_roles o on o.oid = r.relowner
      left join indexes i on i.indrelid = r.oid
      left join columns c on c.attrelid = r.oid
      left join pg_catalog.pg_stat_all_tables s on s.relid = r.oid) t
