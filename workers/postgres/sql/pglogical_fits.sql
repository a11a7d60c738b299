-- Whether a table of the subscriber could take a change. $1 schema, $2 table, $3 the change's columns.
-- Needs: nothing. Locks: none.
select r.oid is not null as there,
       array (select c.name from pg_catalog.unnest($3::text[]) c (name)
               where r.oid is not null and not exists (
                   select from pg_catalog.pg_attribute a
                    where a.attrelid = r.oid and a.attname = c.name and a.attnum > 0 and not a.attisdropped)) as missing,
       array (select pg_catalog.format('alter table %s drop constraint %I;', k.conrelid::pg_catalog.regclass, k.conname)
                from pg_catalog.pg_constraint k
               where k.confrelid = r.oid and k.contype = 'f' and k.conrelid <> r.oid and k.conparentid = 0) as referenced_by
  from (select 1) one
  left join pg_catalog.pg_namespace n on n.nspname = $1::text
  left join pg_catalog.pg_class r on r.relnamespace = n.oid and r.relname = $2::text and r.relkind in ('r', 'p')
