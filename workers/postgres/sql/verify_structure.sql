-- The schema and the rights of a database as (kind, object, definition), to be compared with the other side's.
-- Needs: nothing but the catalogs. Locks: none. Nothing of extensions, of replication or of Changeover itself.
-- $1: roles whose rights don't count (the replication login, the migration's login): those come and go with the migration.
-- $2: schemas that belong to the set-up and not to the application.
-- Rights that a fence has taken away for the time being are in changeover.saved_acl and count as there.
with extension_member as materialized (
    select classid, objid from pg_catalog.pg_depend where deptype = 'e'
), space as materialized (
    select n.oid, n.nspname, n.nspowner, n.nspacl
      from pg_catalog.pg_namespace n
     where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'changeover', 'pglogical') and n.nspname <> all ($2::text[])
       and not exists (select from extension_member e where e.classid = 'pg_namespace'::regclass and e.objid = n.oid)
), class as materialized (
    select c.*, pg_catalog.format('%I.%I', s.nspname, c.relname) as object,
           case c.relkind when 'r' then 'table' when 'p' then 'table' when 'v' then 'view' when 'm' then 'materialized view'
                          when 'S' then 'sequence' when 'f' then 'foreign table' end as word
      from pg_catalog.pg_class c join space s on s.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
       and not exists (select from extension_member e where e.classid = 'pg_class'::regclass and e.objid = c.oid)
), routine as materialized (
    select p.*, pg_catalog.format('%I.%I(%s)', s.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)) as object
      from pg_catalog.pg_proc p join space s on s.oid = p.pronamespace
     where not exists (select from extension_member e where e.classid = 'pg_proc'::regclass and e.objid = p.oid)
), kind as materialized (
    select t.*, pg_catalog.format('%I.%I', s.nspname, t.typname) as object
      from pg_catalog.pg_type t join space s on s.oid = t.typnamespace
     where (t.typtype in ('e', 'd', 'r') or exists (select from pg_catalog.pg_class c where c.oid = t.typrelid and c.relkind = 'c'))
       and not exists (select from extension_member e where e.classid = 'pg_type'::regclass and e.objid = t.oid)
), granted as (
    select c.word as kind, c.object, c.relowner as owner, a.grantor, a.grantee, a.privilege_type as privilege, a.is_grantable as grantable
      from class c
      cross join lateral pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner))) a
    union all
    select 'column', pg_catalog.format('%s.%I', c.object, t.attname), c.relowner, a.grantor, a.grantee, a.privilege_type, a.is_grantable
      from class c join pg_catalog.pg_attribute t on t.attrelid = c.oid and t.attnum > 0 and not t.attisdropped
      cross join lateral pg_catalog.aclexplode(t.attacl) a
    union all
    select coalesce(case s.kind when 'column' then 'column' end, c.word),
           case when s.attnum > 0 then pg_catalog.format('%s.%I', c.object, t.attname) else c.object end,
           c.relowner, s.grantor, s.grantee, s.privilege, s.grantable
      from changeover.saved_acl s join class c on c.oid = s.object
      left join pg_catalog.pg_attribute t on t.attrelid = c.oid and t.attnum = s.attnum and s.attnum > 0
    union all
    select 'schema', pg_catalog.quote_ident(s.nspname), s.nspowner, a.grantor, a.grantee, a.privilege_type, a.is_grantable
      from space s cross join lateral pg_catalog.aclexplode(coalesce(s.nspacl, pg_catalog.acldefault('n', s.nspowner))) a
    union all
    select 'function', r.object, r.proowner, a.grantor, a.grantee, a.privilege_type, a.is_grantable
      from routine r cross join lateral pg_catalog.aclexplode(coalesce(r.proacl, pg_catalog.acldefault('f', r.proowner))) a
    union all
    select 'type', k.object, k.typowner, a.grantor, a.grantee, a.privilege_type, a.is_grantable
      from kind k cross join lateral pg_catalog.aclexplode(coalesce(k.typacl, pg_catalog.acldefault('T', k.typowner))) a
)
select 'column' as kind, pg_catalog.format('%s.%I', c.object, a.attname) as object,
       pg_catalog.concat_ws(' ', pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
              (select pg_catalog.format('%I.%I', cn.nspname, co.collname) from pg_catalog.pg_collation co
                 join pg_catalog.pg_namespace cn on cn.oid = co.collnamespace where co.oid = a.attcollation),
              case when d.oid is null then 'no default' else {definition:pg_catalog.pg_get_expr(d.adbin, d.adrelid)} end) as definition
  from class c join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
 where c.relkind <> 'S'
union all
select c.word, c.object,
       pg_catalog.concat_ws(' ', c.relpersistence, c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.relispartition,
              {definition:pg_catalog.pg_get_expr(c.relpartbound, c.oid)},
              case when c.relkind in ('v', 'm') then {definition:pg_catalog.md5(pg_catalog.pg_get_viewdef(c.oid))} end)
  from class c
union all
select 'sequence values', c.object, pg_catalog.concat_ws(' ', pg_catalog.format_type(s.seqtypid, null), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)
  from class c join pg_catalog.pg_sequence s on s.seqrelid = c.oid
union all
select 'constraint', pg_catalog.format('%s.%I', c.object, k.conname), pg_catalog.concat_ws(' ', k.contype, k.convalidated, k.condeferrable, k.condeferred,
       {definition:pg_catalog.pg_get_constraintdef(k.oid)})
  from class c join pg_catalog.pg_constraint k on k.conrelid = c.oid
 -- those of partitions that follow from a parent's have names of the server's choice
 where k.contype <> 'n' and k.conparentid = 0
union all
select 'index', pg_catalog.format('%s.%I', c.object, i.relname), pg_catalog.concat_ws(' ', x.indisvalid, x.indisunique, x.indisprimary, x.indisreplident,
       {definition:pg_catalog.pg_get_indexdef(x.indexrelid)})
  from class c join pg_catalog.pg_index x on x.indrelid = c.oid join pg_catalog.pg_class i on i.oid = x.indexrelid
union all
-- which triggers fire is not compared: some are quiet on the side that applies
select 'trigger', pg_catalog.format('%s.%I', c.object, t.tgname), {definition:pg_catalog.md5(pg_catalog.pg_get_triggerdef(t.oid))}
  from class c join pg_catalog.pg_trigger t on t.tgrelid = c.oid
 where not t.tgisinternal and t.tgname !~ '^queue_truncate_trigger'
   and t.tgfoid is distinct from pg_catalog.to_regprocedure('changeover.gate()')::oid
union all
select 'policy', pg_catalog.format('%s.%I', c.object, p.polname), pg_catalog.concat_ws(' ', p.polcmd, p.polpermissive,
       (select pg_catalog.string_agg(coalesce(r.rolname, 'public'), ',' order by r.rolname collate "C")
          from pg_catalog.unnest(p.polroles) o left join pg_catalog.pg_roles r on r.oid = o),
       {definition:pg_catalog.pg_get_expr(p.polqual, p.polrelid)}, {definition:pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)})
  from class c join pg_catalog.pg_policy p on p.polrelid = c.oid
union all
select 'function', r.object, pg_catalog.concat_ws(' ', r.prokind, r.prosecdef, r.proisstrict, r.provolatile, pg_catalog.format_type(r.prorettype, null),
       pg_catalog.md5(r.prosrc), r.proconfig)
  from routine r
union all
select 'type', k.object, pg_catalog.concat_ws(' ', k.typtype, k.typnotnull, pg_catalog.format_type(nullif(k.typbasetype, 0), k.typtypmod), k.typdefault,
       (select pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ',' order by e.enumsortorder) from pg_catalog.pg_enum e where e.enumtypid = k.oid),
       (select pg_catalog.string_agg(pg_catalog.format('%I', o.conname), ',' order by o.conname collate "C") from pg_catalog.pg_constraint o where o.contypid = k.oid))
  from kind k
union all
select 'owner of ' || c.word, c.object, pg_catalog.pg_get_userbyid(c.relowner) from class c
union all
select 'owner of schema', pg_catalog.quote_ident(s.nspname), pg_catalog.pg_get_userbyid(s.nspowner) from space s
 -- a migration's login may not be able to give that one away
 where s.nspname <> 'public'
union all
select 'owner of function', r.object, pg_catalog.pg_get_userbyid(r.proowner) from routine r
union all
-- the owner by that word: who it is has been said above
select distinct 'right', pg_catalog.format('%s on %s %s to %s%s by %s', g.privilege, g.kind, g.object,
       case g.grantee when 0 then 'public' when g.owner then 'its owner' else pg_catalog.pg_get_userbyid(g.grantee)::text end,
       case when g.grantable then ' with grant option' end,
       case g.grantor when g.owner then 'its owner' else pg_catalog.pg_get_userbyid(g.grantor)::text end), 'there'
  from granted g
 where g.grantee = 0 or pg_catalog.pg_get_userbyid(g.grantee) <> all ($1)
