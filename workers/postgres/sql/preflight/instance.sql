-- Databases and roles of the instance, and the extensions it could create. Locks: none.
-- Columns that other major versions name otherwise are read through to_jsonb.
select pg_catalog.jsonb_build_object(
    'system_identifier', (select c.system_identifier::text from pg_catalog.pg_control_system() c),
    'databases', (
        select coalesce(pg_catalog.jsonb_agg(x order by x.name), '[]') from (
            select d.datname::text as name, r.rolname::text as owner, r.rolsuper as owner_superuser,
                   pg_catalog.pg_has_role(current_user, d.datdba, 'usage') as owner_member,
                   pg_catalog.pg_encoding_to_char(d.encoding) as encoding,
                   d.datcollate::text as collate, d.datctype::text as ctype,
                   coalesce(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c') as provider,
                   coalesce(pg_catalog.to_jsonb(d) ->> 'daticulocale', pg_catalog.to_jsonb(d) ->> 'datlocale', '') as icu_locale,
                   coalesce(pg_catalog.to_jsonb(d) ->> 'datcollversion', '') as collation_version,
                   coalesce(pg_catalog.pg_database_collation_actual_version(d.oid), '') as actual_collation_version,
                   t.spcname::text as tablespace, d.datallowconn as allows_connections, d.datconnlimit as connection_limit,
                   pg_catalog.has_database_privilege(d.oid, 'create') as may_create,
                   pg_catalog.has_database_privilege(d.oid, 'connect') as may_connect,
                   exists (select from pg_catalog.pg_roles q where q.rolname = $1
                               and pg_catalog.has_database_privilege(q.oid, d.oid, 'connect')) as replication_may_connect
              from pg_catalog.pg_database d
              join pg_catalog.pg_roles r on r.oid = d.datdba
              join pg_catalog.pg_tablespace t on t.oid = d.dattablespace
             where not d.datistemplate) x),
    'roles', (
        select coalesce(pg_catalog.jsonb_agg(x order by x.name), '[]') from (
            select r.rolname::text as name, r.rolcanlogin as login, r.rolsuper as superuser
              from pg_catalog.pg_roles r where r.rolname !~ '^pg_') x),
    'tablespaces', (
        select coalesce(pg_catalog.jsonb_agg(t.spcname order by t.spcname), '[]')
          from pg_catalog.pg_tablespace t where t.spcname not in ('pg_default', 'pg_global')),
    'available_extensions', (
        select coalesce(pg_catalog.jsonb_agg(x order by x.name), '[]') from (
            select v.name::text as name, e.default_version as default,
                   pg_catalog.bool_or(v.trusted or not v.superuser) as anyone,
                   pg_catalog.jsonb_agg(v.version) as versions
              from pg_catalog.pg_available_extension_versions v
              join pg_catalog.pg_available_extensions e on e.name = v.name
             group by 1, 2) x)
)
