-- What is already in a database of the target. $1: schemas of tools. Locks: none.
with schemas as (
    select n.* from pg_catalog.pg_namespace n
     where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and n.nspname <> all ($1::text[])
       and not exists (
           select from pg_catalog.pg_depend d
            where d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass and d.objid = n.oid and d.deptype = 'e')
), objects as (
    select 'schema' as kind, n.nspname::text as name, 'pg_catalog.pg_namespace'::pg_catalog.regclass::oid as class, n.oid
      from schemas n where n.nspname <> 'public'
       -- made for an extension that an administrator has created beforehand
       and not exists (select from pg_catalog.pg_extension e where e.extnamespace = n.oid)
    union all
    select case c.relkind when 'r' then 'table' when 'p' then 'table' when 'f' then 'foreign table' when 'S' then 'sequence'
                          when 'c' then 'type' when 'm' then 'materialized view' else 'view' end,
           n.nspname || '.' || c.relname, 'pg_catalog.pg_class'::pg_catalog.regclass::oid, c.oid
      from pg_catalog.pg_class c join schemas n on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'f', 'S', 'v', 'm', 'c')
    union all
    select 'function', n.nspname || '.' || p.proname, 'pg_catalog.pg_proc'::pg_catalog.regclass::oid, p.oid
      from pg_catalog.pg_proc p join schemas n on n.oid = p.pronamespace
    union all
    select 'type', n.nspname || '.' || t.typname, 'pg_catalog.pg_type'::pg_catalog.regclass::oid, t.oid
      from pg_catalog.pg_type t join schemas n on n.oid = t.typnamespace where t.typtype in ('d', 'e', 'r')
    union all
    select 'publication', p.pubname::text, 'pg_catalog.pg_publication'::pg_catalog.regclass::oid, p.oid from pg_catalog.pg_publication p
    union all
    select 'foreign server', s.srvname::text, 'pg_catalog.pg_foreign_server'::pg_catalog.regclass::oid, s.oid
      from pg_catalog.pg_foreign_server s
    union all
    select 'large object', l.oid::text, 'pg_catalog.pg_largeobject'::pg_catalog.regclass::oid, l.oid
      from pg_catalog.pg_largeobject_metadata l
)
select coalesce(pg_catalog.jsonb_agg(x order by x.kind), '[]') from (
    select o.kind, pg_catalog.count(*) as count, pg_catalog.min(o.name) as example
      from objects o
     where not exists (
         select from pg_catalog.pg_depend d where d.classid = o.class and d.objid = o.oid and d.deptype in ('e', 'i'))
     group by o.kind) x
