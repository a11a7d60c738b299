-- Owners and grantors as whom the login can't act, nor come to act by adding itself. From 16 on a membership may come without
-- the right to SET ROLE, and CREATEROLE adds to roles with ADMIN OPTION alone. Changes nothing.
-- $1: oids of owners and grantors.
select r.rolname::text
  from pg_catalog.pg_roles r
 where r.oid = any ($1::oid[])
   and not pg_catalog.pg_has_role(current_user, r.oid,
             case when pg_catalog.current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end)
   and not pg_catalog.pg_has_role(current_user, r.oid, 'member with admin option')
   and (r.rolsuper or pg_catalog.current_setting('server_version_num')::int >= 160000
        or not exists (select from pg_catalog.pg_roles me where me.rolname = current_user and me.rolcreaterole))
 order by 1 limit 5;
