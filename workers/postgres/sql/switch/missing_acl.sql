-- Of what save_acl.sql remembered: how many rights aren't there. Changes nothing.
select count(*) from (
    select s.object, s.attnum, s.grantor, s.grantee, s.privilege, s.grantable
      from changeover.saved_acl s join pg_catalog.pg_class c on c.oid = s.object
    except
    select c.oid, 0::int2, x.grantor, x.grantee, x.privilege_type, x.is_grantable
      from pg_catalog.pg_class c
     cross join lateral pg_catalog.aclexplode(coalesce(c.relacl,
            pg_catalog.acldefault((case c.relkind when 'S' then 's' else 'r' end)::"char", c.relowner))) x
     where c.oid in (select object from changeover.saved_acl)
    except
    select a.attrelid, a.attnum, x.grantor, x.grantee, x.privilege_type, x.is_grantable
      from pg_catalog.pg_attribute a cross join lateral pg_catalog.aclexplode(a.attacl) x
     where a.attrelid in (select object from changeover.saved_acl) and a.attacl is not null
) m;
