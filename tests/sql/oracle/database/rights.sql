-- Every right in a database, one line each, whatever way it was granted: an absent list of rights means the default one.
-- Objects of the system show only where their rights differ from those at installation.
with lists (object, acl) as (
    select pg_catalog.format('%s %s', case c.relkind when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'materialized view'
               when 'f' then 'foreign table' else 'table' end, c.oid::pg_catalog.regclass),
           coalesce(c.relacl, pg_catalog.acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner))
      from pg_catalog.pg_class c
      left join pg_catalog.pg_init_privs i on i.objoid = c.oid and i.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass and i.objsubid = 0
     where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
       and c.relpersistence <> 't'
       and (c.relnamespace <> all (array['pg_catalog', 'information_schema', 'pg_toast']::pg_catalog.regnamespace[]) or c.relacl is distinct from i.initprivs)
    union all
    select pg_catalog.format('column %s.%I', a.attrelid::pg_catalog.regclass, a.attname), a.attacl
      from pg_catalog.pg_attribute a
      join pg_catalog.pg_class c on c.oid = a.attrelid
      left join pg_catalog.pg_init_privs i on i.objoid = c.oid and i.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass and i.objsubid = a.attnum
     where a.attacl is not null and not a.attisdropped
       and (c.relnamespace <> all (array['pg_catalog', 'information_schema', 'pg_toast']::pg_catalog.regnamespace[]) or a.attacl is distinct from i.initprivs)
    union all
    select pg_catalog.format('function %s', p.oid::pg_catalog.regprocedure),
           coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))
      from pg_catalog.pg_proc p
      left join pg_catalog.pg_init_privs i on i.objoid = p.oid and i.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass
     where p.pronamespace <> all (array['pg_catalog', 'information_schema', 'pg_toast']::pg_catalog.regnamespace[]) or p.proacl is distinct from i.initprivs
    union all
    select pg_catalog.format('schema %I', n.nspname), coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))
      from pg_catalog.pg_namespace n
     where n.nspname !~ '^pg_(toast|temp)'
    union all
    select pg_catalog.format('type %s', t.oid::pg_catalog.regtype), coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner))
      from pg_catalog.pg_type t
      left join pg_catalog.pg_init_privs i on i.objoid = t.oid and i.classoid = 'pg_catalog.pg_type'::pg_catalog.regclass
     where t.typelem = 0 and (t.typrelid = 0 or exists (select from pg_catalog.pg_class c where c.oid = t.typrelid and c.relkind = 'c'))
       and (t.typnamespace <> all (array['pg_catalog', 'information_schema', 'pg_toast']::pg_catalog.regnamespace[]) or t.typacl is distinct from i.initprivs)
    union all
    select pg_catalog.format('language %I', l.lanname), coalesce(l.lanacl, pg_catalog.acldefault('l', l.lanowner))
      from pg_catalog.pg_language l
    union all
    select pg_catalog.format('foreign-data wrapper %I', w.fdwname), coalesce(w.fdwacl, pg_catalog.acldefault('F', w.fdwowner))
      from pg_catalog.pg_foreign_data_wrapper w
    union all
    select pg_catalog.format('server %I', s.srvname), coalesce(s.srvacl, pg_catalog.acldefault('S', s.srvowner))
      from pg_catalog.pg_foreign_server s
    union all
    select pg_catalog.format('large object %s', o.oid), coalesce(o.lomacl, pg_catalog.acldefault('L', o.lomowner))
      from pg_catalog.pg_largeobject_metadata o
    union all
    select pg_catalog.format('default for %s in %s, kind %s', d.defaclrole::pg_catalog.regrole,
               case d.defaclnamespace when 0 then 'every schema' else d.defaclnamespace::pg_catalog.regnamespace::text end, d.defaclobjtype),
           d.defaclacl
      from pg_catalog.pg_default_acl d
)
select pg_catalog.format('%s: %s by %s: %s', l.object,
           case x.grantee when 0 then 'public' else x.grantee::pg_catalog.regrole::text end,
           x.grantor::pg_catalog.regrole, x.privilege_type),
       pg_catalog.format('grantable=%s', x.is_grantable)
  from lists l
 cross join lateral pg_catalog.aclexplode(l.acl) x
