-- Who made whom a member.
select pg_catalog.format('%s in %s', m.member::pg_catalog.regrole, m.roleid::pg_catalog.regrole),
       coalesce((select rolname::text from pg_catalog.pg_roles where oid = m.grantor), 'a role that is gone')
  from pg_catalog.pg_auth_members m
