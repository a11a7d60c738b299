-- A fingerprint of every role's password, so that a change shows and the password doesn't.
select rolname::text,
       coalesce(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(rolpassword, 'UTF8')), 'hex'), 'none')
  from pg_catalog.pg_authid
