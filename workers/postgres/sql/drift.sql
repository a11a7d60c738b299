-- One row per object of the application with a hash of what the migration took over of it.
-- $1 schema of the escalation function, or ''; $2 true for the roles of the instance as well; $3 logins that are not the
-- application's. Needs: nothing. Locks: none. PostgreSQL 12 and later.
-- Left out: what Changeover itself changes (triggers' enabled state, sequences' positions) and members of extensions.
with space as (
    select n.oid, n.nspname, n.nspowner
      from pg_catalog.pg_namespace n
     where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pglogical', 'changeover', $1)
), member as (
    select d.classid, d.objid from pg_catalog.pg_depend d where d.deptype = 'e'
), rel as (
    select c.*, s.nspname
      from pg_catalog.pg_class c join space s on s.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f', 'c') and c.relpersistence <> 't'
       and not exists (select from member where classid = 'pg_catalog.pg_class'::pg_catalog.regclass and objid = c.oid)
), col as (
    select a.attrelid, string_agg(concat_ws(' ', a.attnum, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attidentity, a.attgenerated, a.attcollation,
               -- A fence that was taken back has granted them in another order.
               (select pg_catalog.array_agg(x order by x::text) from pg_catalog.unnest(a.attacl) x),
               pg_catalog.pg_get_expr(d.adbin, d.adrelid)), ',' order by a.attnum) as text
      from pg_catalog.pg_attribute a left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attnum > 0 and not a.attisdropped and a.attrelid in (select oid from rel)
     group by 1
), con as (
    select c.conrelid, string_agg(c.conname || ' ' || c.convalidated || ' ' || pg_catalog.pg_get_constraintdef(c.oid), ',' order by c.conname) as text
      from pg_catalog.pg_constraint c where c.conrelid in (select oid from rel) group by 1
), idx as (
    select i.indrelid, string_agg(i.indisvalid || ' ' || i.indisreplident || ' ' || pg_catalog.pg_get_indexdef(i.indexrelid), ','
               order by pg_catalog.pg_get_indexdef(i.indexrelid)) as text
      from pg_catalog.pg_index i where i.indrelid in (select oid from rel) group by 1
), trg as (
    select t.tgrelid, string_agg(pg_catalog.pg_get_triggerdef(t.oid), ',' order by t.tgname) as text
      from pg_catalog.pg_trigger t where not t.tgisinternal and t.tgrelid in (select oid from rel)
       and t.tgfoid is distinct from pg_catalog.to_regprocedure('changeover.gate()')::oid
     group by 1
), pol as (
    select p.polrelid, string_agg(concat_ws(' ', p.polname, p.polcmd, p.polpermissive, p.polroles, pg_catalog.pg_get_expr(p.polqual, p.polrelid),
               pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)), ',' order by p.polname) as text
      from pg_catalog.pg_policy p where p.polrelid in (select oid from rel) group by 1
), acl as (
    select r.oid, string_agg(concat_ws(' ', x.grantor, x.grantee, x.privilege_type, x.is_grantable), ','
               order by x.grantor, x.grantee, x.privilege_type) as text
      from rel r cross join lateral pg_catalog.aclexplode(coalesce(r.relacl,
               pg_catalog.acldefault(case r.relkind when 'S' then 's' else 'r' end::"char", r.relowner))) x
     where r.relkind <> 'c' group by 1
)
select case rel.relkind when 'v' then 'view ' when 'm' then 'materialized view ' when 'S' then 'sequence ' when 'f' then 'foreign table '
            when 'c' then 'type ' else 'table ' end || rel.nspname || '.' || rel.relname as object,
       md5(concat_ws('|', rel.relkind, rel.relpersistence, rel.relowner, rel.relrowsecurity, rel.relforcerowsecurity, rel.relreplident,
           rel.reloptions, rel.relispartition, pg_catalog.pg_get_expr(rel.relpartbound, rel.oid),
           case when rel.relkind = 'p' then pg_catalog.pg_get_partkeydef(rel.oid) end,
           case when rel.relkind in ('v', 'm') then pg_catalog.pg_get_viewdef(rel.oid) end,
           (select concat_ws(' ', q.seqtypid, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle)
              from pg_catalog.pg_sequence q where q.seqrelid = rel.oid),
           col.text, con.text, idx.text, trg.text, pol.text, acl.text)) as hash
  from rel
  left join col on col.attrelid = rel.oid
  left join con on con.conrelid = rel.oid
  left join idx on idx.indrelid = rel.oid
  left join trg on trg.tgrelid = rel.oid
  left join pol on pol.polrelid = rel.oid
  left join acl on acl.oid = rel.oid
union all
select 'type ' || s.nspname || '.' || t.typname,
       md5(concat_ws('|', t.typtype, t.typowner, t.typnotnull, t.typdefault, pg_catalog.format_type(t.typbasetype, t.typtypmod), t.typacl,
           (select string_agg(e.enumlabel, ',' order by e.enumsortorder) from pg_catalog.pg_enum e where e.enumtypid = t.oid),
           (select string_agg(pg_catalog.pg_get_constraintdef(c.oid), ',' order by c.conname) from pg_catalog.pg_constraint c where c.contypid = t.oid),
           (select concat_ws(' ', r.rngsubtype, r.rngcollation) from pg_catalog.pg_range r where r.rngtypid = t.oid)))
  from pg_catalog.pg_type t join space s on s.oid = t.typnamespace
 where t.typtype in ('e', 'd', 'r')
   and not exists (select from member where classid = 'pg_catalog.pg_type'::pg_catalog.regclass and objid = t.oid)
union all
select 'function ' || s.nspname || '.' || p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
       md5(concat_ws('|', p.proowner, p.proacl, case when p.prokind <> 'a' then pg_catalog.pg_get_functiondef(p.oid) end))
  from pg_catalog.pg_proc p join space s on s.oid = p.pronamespace
 where not exists (select from member where classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and objid = p.oid)
union all
select 'schema ' || s.nspname, md5(concat_ws('|', s.nspowner, (select n.nspacl from pg_catalog.pg_namespace n where n.oid = s.oid)))
  from space s
 where not exists (select from member where classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass and objid = s.oid)
union all
select 'extension ' || e.extname, md5(e.extversion) from pg_catalog.pg_extension e where e.extname <> 'pglogical'
union all
-- A fence takes the right to log in away for a while; whom it took it from is remembered.
select 'role ' || r.rolname,
       md5(concat_ws('|', r.rolcanlogin or exists (select from changeover.saved_login l where l.role = r.rolname), r.rolinherit, r.rolconnlimit,
           r.rolconfig, (select string_agg(m.roleid::text, ',' order by m.roleid) from pg_catalog.pg_auth_members m where m.member = r.oid)))
  from pg_catalog.pg_roles r
 where $2 and r.rolname !~ '^(pg|rds)_' and r.rolname <> 'rdsadmin' and r.rolname::text <> all ($3)
