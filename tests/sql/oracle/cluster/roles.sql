-- Every role and what it may.
select rolname::text,
       pg_catalog.format('login=%s superuser=%s inherit=%s createrole=%s createdb=%s replication=%s bypassrls=%s limit=%s until=%s',
           rolcanlogin, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolconnlimit,
           coalesce(rolvaliduntil::text, 'ever'))
  from pg_catalog.pg_authid
