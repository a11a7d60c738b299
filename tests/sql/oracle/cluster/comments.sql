-- Comments and security labels of roles, databases and tablespaces.
select pg_catalog.format('%s %s', d.classoid::pg_catalog.regclass,
           coalesce(r.rolname::text, b.datname::text, t.spcname::text, d.objoid::text)),
       d.description
  from pg_catalog.pg_shdescription d
  left join pg_catalog.pg_roles r on r.oid = d.objoid and d.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass
  left join pg_catalog.pg_database b on b.oid = d.objoid and d.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass
  left join pg_catalog.pg_tablespace t on t.oid = d.objoid and d.classoid = 'pg_catalog.pg_tablespace'::pg_catalog.regclass
