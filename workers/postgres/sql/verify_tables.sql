-- Every table with rows of its own (plain tables and partition leaves; not views, not partitioned parents), with what
-- comparing it needs. $1: schemas that belong to the set-up and not to the application. Needs: nothing but the catalogs. Locks:
-- none. {actual} is the version of the collation library as the
-- server finds it now (PostgreSQL 15 and later), or null.
--
-- key_order says how the values of a key column are ordered: two servers with the same text order them alike. It is null where
-- that can't be known: types of extensions, or a collation whose version is unknown or has changed under the indexes.
with recursive domain (type, base) as (
    select t.oid, t.typbasetype from pg_catalog.pg_type t where t.typtype = 'd'
    union
    select d.type, t.typbasetype from domain d join pg_catalog.pg_type t on t.oid = d.base and t.typtype = 'd'
), base as (
    select d.type, d.base from domain d join pg_catalog.pg_type t on t.oid = d.base and t.typtype <> 'd'
), database as (
    select to_jsonb(d) ->> 'datlocprovider' as provider, d.datcollate,
           coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') as locale,
           to_jsonb(d) ->> 'datcollversion' as recorded, {actual} as actual,
           pg_catalog.pg_encoding_to_char(d.encoding) as encoding
      from pg_catalog.pg_database d
     where d.datname = pg_catalog.current_database()
), collations as (
    select c.oid, coalesce(to_jsonb(c) ->> 'collprovider', 'c') as provider, c.collcollate as name,
           coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale') as locale,
           c.collversion as recorded, pg_catalog.pg_collation_actual_version(c.oid) as actual, d.encoding
      from pg_catalog.pg_collation c, database d
     where c.oid <> 100
    union all
    select 100, provider, datcollate, locale, recorded, actual, encoding from database
), orders as (
    select oid,
           case when provider = 'c' and (name in ('C', 'POSIX') or name ~ '^C\.') then 'C ' || encoding
                when actual is not null and recorded is not distinct from actual
                then pg_catalog.concat_ws(' ', provider, name, locale, actual, encoding)
           end as collation_order
      from collations
), tables as (
    select c.oid, n.nspname, c.relname, c.reltuples, c.relpersistence,
           (select i.indexrelid
              from pg_catalog.pg_index i
             where i.indrelid = c.oid and i.indisvalid and (i.indisprimary or i.indisreplident)
             order by i.indisreplident desc limit 1) as key_index
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and c.relpersistence <> 't'
       and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'changeover', 'pglogical') and n.nspname <> all ($1::text[])
       and n.nspname !~ '^pg_(toast_)?temp_'
       and not exists (select from pg_catalog.pg_depend e
                        where e.classid = 'pg_catalog.pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')
), columns as (
    select a.attrelid, array_agg(a.attname::text order by a.attnum) as names
      from tables t join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
     group by a.attrelid
), equal as materialized (
    select oc.oid as opclass, 'operator(' || pg_catalog.quote_ident(n.nspname) || '.' || op.oprname || ')' as operator
      from pg_catalog.pg_opclass oc
      join pg_catalog.pg_amop ao on ao.amopfamily = oc.opcfamily and ao.amopstrategy = 3
           and ao.amoplefttype = oc.opcintype and ao.amoprighttype = oc.opcintype
      join pg_catalog.pg_operator op on op.oid = ao.amopopr
      join pg_catalog.pg_namespace n on n.oid = op.oprnamespace
     where oc.opcmethod = (select oid from pg_catalog.pg_am where amname = 'btree')
), keys as (
    select i.indexrelid,
           array_agg(a.attname::text order by p.place) as names,
           array_agg(tn.nspname::text order by p.place) as type_schemas,
           array_agg(ty.typname::text order by p.place) as types,
           -- not a join: nothing tells the planner how many rows it has
           array_agg((select e.operator from equal e where e.opclass = p.opclass) order by p.place) as equals,
           array_agg(
             case when bt.typtype = 'e'
                  then (select 'enum ' || pg_catalog.md5(pg_catalog.string_agg(e.enumlabel, chr(10) order by e.enumsortorder))
                          from pg_catalog.pg_enum e where e.enumtypid = bt.oid)
                  when bt.oid in ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'name'::regtype)
                  then bt.typname || ' ' || (select o.collation_order from orders o where o.oid = a.attcollation)
                  when bt.oid = any ('{int2,int4,int8,oid,numeric,float4,float8,bool,"\"char\"",date,time,timetz,timestamp,timestamptz,
                       interval,uuid,bytea,inet,cidr,macaddr,macaddr8,money,bit,varbit,pg_lsn}'::regtype[])
                  then bt.typname::text
             end order by p.place) as orders
      from tables t
      join pg_catalog.pg_index i on i.indexrelid = t.key_index
      cross join lateral unnest(i.indkey::int2[], i.indclass::oid[]) with ordinality as p (attnum, opclass, place)
      join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = p.attnum
      left join base b on b.type = a.atttypid
      join pg_catalog.pg_type bt on bt.oid = coalesce(b.base, a.atttypid)
      join pg_catalog.pg_type ty on ty.oid = a.atttypid
      join pg_catalog.pg_namespace tn on tn.oid = ty.typnamespace
     where p.place <= i.indnkeyatts
     group by i.indexrelid
)
select t.nspname::text as schema, t.relname::text as name, coalesce(c.names, '{}') as columns,
       coalesce(k.names, '{}') as key_names, coalesce(k.type_schemas, '{}') as key_type_schemas, coalesce(k.types, '{}') as key_types,
       coalesce(k.equals, '{}') as key_equals, coalesce(k.orders, '{}') as key_orders,
       pg_catalog.pg_table_size(t.oid) as bytes, greatest(t.reltuples, 0)::bigint as rows
  from tables t
  left join columns c on c.attrelid = t.oid
  left join keys k on k.indexrelid = t.key_index
 order by t.nspname::text collate "C", t.relname::text collate "C"
