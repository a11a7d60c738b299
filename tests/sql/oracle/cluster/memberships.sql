-- Who is a member of what.
select pg_catalog.format('%s in %s', m.member::pg_catalog.regrole, m.roleid::pg_catalog.regrole),
       pg_catalog.format('admin=%s', m.admin_option)
  from pg_catalog.pg_auth_members m
