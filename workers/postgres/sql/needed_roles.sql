-- Roles whose rights the migration's login needs in this database: whoever owns something, and whoever granted something.
-- Changes nothing. Superusers, predefined and RDS's own roles are left out: nobody can become one of them.
-- Changeover's own schema doesn't count.
with here as (
    select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()
), home as (
    select oid from pg_catalog.pg_namespace where nspname = 'changeover'
), own(class, object) as (
    select 'pg_catalog.pg_namespace'::pg_catalog.regclass, oid from home
    union all
    select 'pg_catalog.pg_class'::pg_catalog.regclass, oid from pg_catalog.pg_class where relnamespace in (select oid from home)
    union all
    select 'pg_catalog.pg_proc'::pg_catalog.regclass, oid from pg_catalog.pg_proc where pronamespace in (select oid from home)
), owners as (
    select d.refobjid as role
      from pg_catalog.pg_shdepend d, here
     where d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
       and d.deptype = 'o'
       and (d.classid, d.objid) not in (select class, object from own)
       and (d.dbid = here.oid
            or (d.dbid = 0 and d.classid = 'pg_catalog.pg_database'::pg_catalog.regclass and d.objid = here.oid))
), acls(acl) as (
    select relacl from pg_catalog.pg_class where relacl is not null and relnamespace not in (select oid from home)
    union all select attacl from pg_catalog.pg_attribute where attacl is not null
    union all select nspacl from pg_catalog.pg_namespace where nspacl is not null and oid not in (select oid from home)
    union all select proacl from pg_catalog.pg_proc where proacl is not null and pronamespace not in (select oid from home)
    union all select typacl from pg_catalog.pg_type where typacl is not null
    union all select lanacl from pg_catalog.pg_language where lanacl is not null
    union all select fdwacl from pg_catalog.pg_foreign_data_wrapper where fdwacl is not null
    union all select srvacl from pg_catalog.pg_foreign_server where srvacl is not null
    union all select defaclacl from pg_catalog.pg_default_acl
    union all select d.datacl from pg_catalog.pg_database d, here where d.oid = here.oid and d.datacl is not null
), grantors as (
    select distinct (pg_catalog.aclexplode(acl)).grantor as role from acls
)
select r.rolname::text
  from pg_catalog.pg_roles r
 where r.oid in (select role from owners union select role from grantors)
   and not r.rolsuper
   and r.rolname !~ '^(pg_|rds_)'
   and r.rolname not in ('rdsadmin', 'rdsrepladmin', 'rdstopmgr')
 order by r.rolname;
