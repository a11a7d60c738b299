-- The application's sequences. $1: schemas of tools. last_value is null for a sequence that was never used; `visible` says
-- whether the login may read it at all. Locks: AccessShareLock on each sequence, for the moment of reading.
select coalesce(pg_catalog.jsonb_agg(x order by x.schema, x.name), '[]') from (
    select n.nspname::text as schema, c.relname::text as name, o.rolname::text as owner,
           s.seqstart::text as start, s.seqmin::text as min, s.seqmax::text as max, s.seqincrement::text as increment, s.seqcycle as cycle,
           v.visible,
           case when v.visible then pg_catalog.pg_sequence_last_value(c.oid)::text end as last
      from pg_catalog.pg_sequence s
      join pg_catalog.pg_class c on c.oid = s.seqrelid
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      join pg_catalog.pg_roles o on o.oid = c.relowner
     cross join lateral (select pg_catalog.has_sequence_privilege(c.oid, 'usage, select') as visible) v
     where c.relpersistence <> 't' and n.nspname !~ '^pg_' and n.nspname <> all ($1::text[])
       and not exists (
           select from pg_catalog.pg_depend d
            where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')) x
