-- One hash over everything that DDL touches, for use under the fence: every DDL writes a row of these catalogs, and with it
-- another xmin. Temporary objects, toast tables' own rows and statistics don't count. Needs: nothing. Locks: none.
select coalesce(sum(hash), 0)::text as fingerprint from (
    select pg_catalog.hash_record_extended((1, c.oid, c.xmin::text), 0)::numeric as hash
      from pg_catalog.pg_class c where c.oid >= 16384 and c.relpersistence <> 't' and c.relnamespace <> 'changeover'::pg_catalog.regnamespace
    union all
    select pg_catalog.hash_record_extended((2, a.attrelid, a.attnum, a.xmin::text), 0)
      from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
     where a.attrelid >= 16384 and a.attnum > 0 and c.relkind in ('r', 'p') and c.relpersistence <> 't'
    union all
    select pg_catalog.hash_record_extended((3, t.oid, t.xmin::text), 0) from pg_catalog.pg_trigger t
     where t.oid >= 16384
    union all
    select pg_catalog.hash_record_extended((4, t.oid, t.xmin::text), 0) from pg_catalog.pg_type t
     where t.oid >= 16384 and t.typtype in ('e', 'd')
    union all
    select pg_catalog.hash_record_extended((5, r.oid, r.rolname, r.rolcanlogin), 0) from pg_catalog.pg_roles r
) x
