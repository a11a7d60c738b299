-- Rights on databases, tablespaces and parameters.
select pg_catalog.format('database %s: %s by %s: %s', d.datname, case x.grantee when 0 then 'public' else x.grantee::pg_catalog.regrole::text end, x.grantor::pg_catalog.regrole, x.privilege_type),
       pg_catalog.format('grantable=%s', x.is_grantable)
  from pg_catalog.pg_database d
 cross join lateral pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) x
union all
select pg_catalog.format('tablespace %s: %s by %s: %s', t.spcname, case x.grantee when 0 then 'public' else x.grantee::pg_catalog.regrole::text end, x.grantor::pg_catalog.regrole, x.privilege_type),
       pg_catalog.format('grantable=%s', x.is_grantable)
  from pg_catalog.pg_tablespace t
 cross join lateral pg_catalog.aclexplode(coalesce(t.spcacl, pg_catalog.acldefault('t', t.spcowner))) x
union all
select pg_catalog.format('parameter %s: %s by %s: %s', p.parname, case x.grantee when 0 then 'public' else x.grantee::pg_catalog.regrole::text end, x.grantor::pg_catalog.regrole, x.privilege_type),
       pg_catalog.format('grantable=%s', x.is_grantable)
  from pg_catalog.pg_parameter_acl p
 cross join lateral pg_catalog.aclexplode(p.paracl) x
