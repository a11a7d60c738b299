-- What save_acl.sql remembered, with names. An object that is gone has nothing to be given back. Changes nothing.
select s.kind, s.object, n.nspname::text, c.relname::text, s.attnum, a.attname::text, c.relowner,
       s.grantor, pg_catalog.pg_get_userbyid(s.grantor)::text, s.grantee,
       case when s.grantee = 0 then null else pg_catalog.pg_get_userbyid(s.grantee)::text end,
       s.privilege, s.grantable
  from changeover.saved_acl s
  join pg_catalog.pg_class c on c.oid = s.object
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  left join pg_catalog.pg_attribute a on a.attrelid = s.object and a.attnum = s.attnum and s.attnum > 0
 order by s.kind, s.object, s.attnum, s.grantor, s.grantee, s.privilege;
