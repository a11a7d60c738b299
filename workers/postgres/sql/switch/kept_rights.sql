-- The fence's proof: roles that still may write one of the relations. A REVOKE without the right to it only warns, so only an
-- empty answer here is a fence. Superusers can't be fenced by rights. A member of pg_write_all_data is fenced by the other half,
-- its login and its sessions: so it passes only if that half is going to close it, or if it can't log in (whatever session it
-- has left is ended with the others). Changes nothing.
-- $1: oids of the relations; $2: logins of the migration; $3: roles whose login the fence closes.
select r.rolname::text, c.oid::pg_catalog.regclass::text
  from pg_catalog.pg_roles r
 cross join pg_catalog.pg_class c
 where c.oid = any ($1::oid[])
   and not r.rolsuper and r.rolname <> all ($2::text[]) and r.rolname !~ '^pg_'
   and not (pg_catalog.pg_has_role(r.oid, 'pg_write_all_data', 'member')
            and (r.rolname = any ($3::text[]) or not r.rolcanlogin))
   and case when c.relkind = 'S' then pg_catalog.has_sequence_privilege(r.oid, c.oid, 'USAGE, UPDATE')
            else pg_catalog.has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
              or pg_catalog.has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE') end
 limit 3;
