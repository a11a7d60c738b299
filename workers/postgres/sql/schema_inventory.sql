-- What users have made in this database: every object that can be dropped by itself, schemas with owner and rights, default
-- privileges. Left out: what the server came with, members of extensions, Changeover's and pglogical's own. Changes nothing.
with place as (
    select oid from pg_catalog.pg_namespace
     where nspname !~ '^pg_' and nspname not in ('information_schema', 'changeover', 'pglogical')
), candidate(class, object) as (
    -- what lives in a schema, except what belongs to another object and goes with it
    select d.classid, d.objid
      from pg_catalog.pg_depend d
     where d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass and d.refobjid in (select oid from place)
       and d.objsubid = 0 and d.deptype = 'n'
       and d.classid not in ('pg_catalog.pg_constraint'::pg_catalog.regclass, 'pg_catalog.pg_extension'::pg_catalog.regclass,
            'pg_catalog.pg_default_acl'::pg_catalog.regclass,
            coalesce(pg_catalog.to_regclass('pg_catalog.pg_publication_namespace'), 0::pg_catalog.oid))
       and not exists (select from pg_catalog.pg_depend i
                        where i.classid = d.classid and i.objid = d.objid and i.objsubid = 0 and i.deptype in ('i', 'P', 'S'))
    union select 'pg_catalog.pg_namespace'::pg_catalog.regclass, oid from place
    union select 'pg_catalog.pg_extension'::pg_catalog.regclass, oid from pg_catalog.pg_extension
           -- an administrator's isn't ours to drop
           where extname <> 'pglogical' and pg_catalog.pg_has_role(extowner, 'usage')
    union select 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, oid from pg_catalog.pg_foreign_server
    union select 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass, oid from pg_catalog.pg_foreign_data_wrapper
    union select 'pg_catalog.pg_publication'::pg_catalog.regclass, oid from pg_catalog.pg_publication
    union select 'pg_catalog.pg_event_trigger'::pg_catalog.regclass, oid from pg_catalog.pg_event_trigger
           where evtname !~ '^changeover_'
    union select 'pg_catalog.pg_language'::pg_catalog.regclass, oid from pg_catalog.pg_language
    union select 'pg_catalog.pg_cast'::pg_catalog.regclass, oid from pg_catalog.pg_cast
), object as (
    select c.class, c.object, i.type, i.identity
      from candidate c, lateral pg_catalog.pg_identify_object(c.class, c.object, 0) i
     where c.object >= 16384
       and not exists (select from pg_catalog.pg_depend e
                        where e.classid = c.class and e.objid = c.object and e.deptype = 'e')
)
select pg_catalog.jsonb_build_object(
    'objects', (select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                    'class', class::int8, 'object', object::int8, 'kind', type, 'identity', identity)
                    order by class, object), '[]') from object),
    'schemas', (select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                    'name', n.nspname, 'owner', o.rolname,
                    'comment', pg_catalog.obj_description(n.oid, 'pg_namespace'),
                    'acl', (select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                                'grantor', g.rolname, 'grantee', e.rolname, 'privilege', x.privilege_type, 'grantable', x.is_grantable)), '[]')
                              from pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) x
                              join pg_catalog.pg_roles g on g.oid = x.grantor
                              left join pg_catalog.pg_roles e on e.oid = x.grantee
                             where x.grantee = 0 or e.oid is not null)) order by n.nspname), '[]')
                  from pg_catalog.pg_namespace n join pg_catalog.pg_roles o on o.oid = n.nspowner
                 where n.oid in (select oid from place)),
    'defaults', (select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                    'role', r.rolname, 'schema', n.nspname, 'kind', d.defaclobjtype::text,
                    'acl', (select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                                'grantor', g.rolname, 'grantee', e.rolname, 'privilege', x.privilege_type, 'grantable', x.is_grantable)), '[]')
                              from pg_catalog.aclexplode(d.defaclacl) x
                              join pg_catalog.pg_roles g on g.oid = x.grantor
                              left join pg_catalog.pg_roles e on e.oid = x.grantee),
                    'untouched', (select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                                'grantor', g.rolname, 'grantee', e.rolname, 'privilege', x.privilege_type, 'grantable', x.is_grantable)), '[]')
                              from pg_catalog.aclexplode(case when d.defaclnamespace = 0 then pg_catalog.acldefault(
                                       (case d.defaclobjtype when 'S' then 's' else d.defaclobjtype end)::"char", d.defaclrole) end) x
                              join pg_catalog.pg_roles g on g.oid = x.grantor
                              left join pg_catalog.pg_roles e on e.oid = x.grantee)) order by d.oid), '[]')
                   from pg_catalog.pg_default_acl d join pg_catalog.pg_roles r on r.oid = d.defaclrole
                   left join pg_catalog.pg_namespace n on n.oid = d.defaclnamespace)
);
