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
    select 'schema', n.nspname::text, n.nspowner from schemas n
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
