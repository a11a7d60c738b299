-- Every database.
select datname::text,
       pg_catalog.format('owner=%s encoding=%s collate=%s ctype=%s provider=%s icu=%s limit=%s template=%s connect=%s tablespace=%s',
           datdba::pg_catalog.regrole, pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider,
           coalesce(daticulocale, ''), datconnlimit, datistemplate, datallowconn,
           (select spcname from pg_catalog.pg_tablespace t where t.oid = dattablespace))
  from pg_catalog.pg_database
