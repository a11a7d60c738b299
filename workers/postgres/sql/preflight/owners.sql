-- Whose objects these are: the login needs the rights of every owner (LOCK, REVOKE, CREATE TRIGGER, dump), and of everybody
-- who granted rights on tables (REVOKE takes back what that grantor gave). $1: schemas of tools. Locks: none.
with schemas as (
    select n.* from pg_catalog.pg_namespace n
     where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and n.nspname <> all ($1::text[])
       and not exists (
           select from pg_catalog.pg_depend d
            where d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass and d.objid = n.oid and d.deptype = 'e')
), relations as (
    select c.* from pg_catalog.pg_class c join schemas n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'f', 'v', 'm', 'S')
       and not exists (
           select from pg_catalog.pg_depend d
            where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')
), objects as (
    select case when c.relkind in ('r', 'p') then 'table' when c.relkind = 'f' then 'foreign table' when c.relkind = 'S' then 'sequence' else 'view' end as kind,
           n.nspname || '.' || c.relname as name, c.relowner as role
      from relations c join schemas n on n.oid = c.relnamespace
    union all
    -- the schema public of a server that was upgraded from before version 15 belongs to the bootstrap superuser: the target has its own
    select 'schema', n.nspname::text, n.nspowner from schemas n join pg_catalog.pg_roles r on r.oid = n.nspowner
     where not (n.nspname = 'public' and r.rolsuper)
    union all
    select 'function', n.nspname || '.' || p.proname, p.proowner
      from pg_catalog.pg_proc p join schemas n on n.oid = p.pronamespace
     where not exists (
         -- an extension's, or a range type's constructors, which always belong to the bootstrap superuser
         select from pg_catalog.pg_depend d
          where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype in ('e', 'i'))
    union all
    select 'type', n.nspname || '.' || t.typname, t.typowner
      from pg_catalog.pg_type t join schemas n on n.oid = t.typnamespace
     where t.typtype in ('d', 'e', 'r')
       and not exists (
           select from pg_catalog.pg_depend d
            where d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.objid = t.oid and d.deptype = 'e')
    union all
    select o.kind, n.nspname || '.' || o.name, o.owner
      from (select 'collation' as kind, 'pg_catalog.pg_collation'::pg_catalog.regclass as class, oid, collname as name, collnamespace as namespace, collowner as owner from pg_catalog.pg_collation
            union all select 'conversion', 'pg_catalog.pg_conversion'::pg_catalog.regclass, oid, conname, connamespace, conowner from pg_catalog.pg_conversion
            union all select 'operator', 'pg_catalog.pg_operator'::pg_catalog.regclass, oid, oprname, oprnamespace, oprowner from pg_catalog.pg_operator
            union all select 'text search configuration', 'pg_catalog.pg_ts_config'::pg_catalog.regclass, oid, cfgname, cfgnamespace, cfgowner from pg_catalog.pg_ts_config
            union all select 'text search dictionary', 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, oid, dictname, dictnamespace, dictowner from pg_catalog.pg_ts_dict
            union all select 'statistics', 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, oid, stxname, stxnamespace, stxowner from pg_catalog.pg_statistic_ext) o
      join schemas n on n.oid = o.namespace
     where not exists (
         select from pg_catalog.pg_depend d where d.classid = o.class and d.objid = o.oid and d.deptype = 'e')
    union all
    select 'foreign server', s.srvname::text, s.srvowner
      from pg_catalog.pg_foreign_server s
    union all
    select 'grant', n.nspname || '.' || c.relname, x.grantor
      from relations c join schemas n on n.oid = c.relnamespace
     cross join lateral pg_catalog.aclexplode(c.relacl) x
     where x.grantor <> c.relowner and c.relkind in ('r', 'p', 'S')
    union all
    select 'grant', n.nspname || '.' || c.relname, x.grantor
      from relations c join schemas n on n.oid = c.relnamespace
      join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attacl is not null
     cross join lateral pg_catalog.aclexplode(a.attacl) x
     where x.grantor <> c.relowner and c.relkind in ('r', 'p')
), named as (
    -- pg_database_owner has one implicit member, the database's owner
    select o.kind, o.name, case when r.rolname = 'pg_database_owner' then d.datdba else o.role end as role
      from objects o
      join pg_catalog.pg_roles r on r.oid = o.role
     cross join (select datdba from pg_catalog.pg_database where datname = pg_catalog.current_database()) d
)
select coalesce(pg_catalog.jsonb_agg(x order by x.role, x.kind), '[]') from (
    select r.rolname::text as role, r.rolsuper as superuser, n.kind, pg_catalog.count(*) as count, pg_catalog.min(n.name) as example,
           pg_catalog.pg_has_role(current_user, r.oid, 'usage') as member
      from named n join pg_catalog.pg_roles r on r.oid = n.role
     group by r.oid, r.rolname, r.rolsuper, n.kind) x
