-- Remembers every right to write, with its grantor and grant option, before the fence takes it. A null ACL means the built-in
-- default, which gives the owner everything. Locks: none on user tables. Run again it replaces what it wrote.
-- $1: oids of the relations that the fence covers.
insert into changeover.saved_acl (kind, object, attnum, grantor, grantee, privilege, grantable)
select case c.relkind when 'S' then 'sequence' else 'table' end, c.oid, 0::int2, x.grantor, x.grantee, x.privilege_type, x.is_grantable
  from pg_catalog.pg_class c
 cross join lateral pg_catalog.aclexplode(coalesce(c.relacl,
        pg_catalog.acldefault((case c.relkind when 'S' then 's' else 'r' end)::"char", c.relowner))) x
 where c.oid = any ($1::oid[])
   and x.privilege_type = any (case c.relkind when 'S' then array['USAGE', 'UPDATE']
                                              else array['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'] end)
union all
select 'column', a.attrelid, a.attnum, x.grantor, x.grantee, x.privilege_type, x.is_grantable
  from pg_catalog.pg_attribute a
 cross join lateral pg_catalog.aclexplode(a.attacl) x
 where a.attrelid = any ($1::oid[]) and a.attnum > 0 and not a.attisdropped and a.attacl is not null
   and x.privilege_type in ('INSERT', 'UPDATE');
