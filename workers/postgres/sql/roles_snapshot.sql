-- All roles of an instance but the server's own, their memberships and settings, and the listed databases. Changes nothing.
-- $1: names of the databases. The server's own: predefined (pg_*) and RDS's (rds_*, rdsadmin …) roles.
with own as (
    select oid, rolname from pg_catalog.pg_roles
     where rolname ~ '^(pg_|rds_)' or rolname in ('rdsadmin', 'rdsrepladmin', 'rdstopmgr')
), listed as (
    select * from pg_catalog.pg_database where datname::text = any ($1)
)
select pg_catalog.jsonb_build_object(
    'roles', (
        select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
            'name', r.rolname, 'superuser', r.rolsuper, 'login', r.rolcanlogin, 'inherit', r.rolinherit,
            'createrole', r.rolcreaterole, 'createdb', r.rolcreatedb, 'replication', r.rolreplication,
            'bypassrls', r.rolbypassrls, 'connection_limit', r.rolconnlimit, 'valid_until', r.rolvaliduntil::text,
            'comment', pg_catalog.shobj_description(r.oid, 'pg_authid')) order by r.rolname), '[]')
          from pg_catalog.pg_roles r
         where r.oid not in (select oid from own)),
    'memberships', (
        select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
            'role', r.rolname, 'member', u.rolname, 'grantor', g.rolname, 'admin', m.admin_option)
            order by m.admin_option desc, r.rolname, u.rolname), '[]')
          from pg_catalog.pg_auth_members m
          join pg_catalog.pg_roles r on r.oid = m.roleid
          join pg_catalog.pg_roles u on u.oid = m.member
          left join pg_catalog.pg_roles g on g.oid = m.grantor
         where m.member not in (select oid from own)),
    'settings', (
        select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
            'role', r.rolname, 'database', d.datname,
            'name', pg_catalog.split_part(c.entry, '=', 1),
            'value', pg_catalog.substr(c.entry, pg_catalog.strpos(c.entry, '=') + 1))
            order by d.datname, r.rolname, c.n), '[]')
          from pg_catalog.pg_db_role_setting s
          left join pg_catalog.pg_roles r on r.oid = s.setrole
          left join listed d on d.oid = s.setdatabase
         cross join lateral pg_catalog.unnest(s.setconfig) with ordinality as c (entry, n)
         where (s.setdatabase = 0 or d.oid is not null)
           and s.setrole not in (select oid from own)),
    'databases', (
        select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
            'name', d.datname, 'owner', o.rolname, 'connection_limit', d.datconnlimit,
            'comment', pg_catalog.shobj_description(d.oid, 'pg_database'),
            'acl', (select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                        'grantor', g.rolname, 'grantee', e.rolname, 'privilege', x.privilege_type, 'grantable', x.is_grantable)
                        order by g.rolname, e.rolname, x.privilege_type), '[]')
                      from pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) x
                      join pg_catalog.pg_roles g on g.oid = x.grantor
                      left join pg_catalog.pg_roles e on e.oid = x.grantee
                     where x.grantee = 0 or e.oid is not null)) order by d.datname), '[]')
          from listed d
          join pg_catalog.pg_roles o on o.oid = d.datdba)
);
