-- ALTER ROLE ... SET, ALTER DATABASE ... SET, and both.
select pg_catalog.format('role %s, database %s, %s',
           coalesce(r.rolname::text, '*'), coalesce(d.datname::text, '*'), pg_catalog.split_part(c.setting, '=', 1)),
       pg_catalog.substr(c.setting, pg_catalog.strpos(c.setting, '=') + 1)
  from pg_catalog.pg_db_role_setting s
  left join pg_catalog.pg_roles r on r.oid = s.setrole
  left join pg_catalog.pg_database d on d.oid = s.setdatabase
 cross join lateral pg_catalog.unnest(s.setconfig) as c (setting)
