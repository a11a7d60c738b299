-- Every index, the invalid ones that pg_dump leaves out included.
select i.indexrelid::pg_catalog.regclass::text,
       pg_catalog.format('%s valid=%s ready=%s live=%s identity=%s', pg_catalog.pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready,
           i.indislive, i.indisreplident)
  from pg_catalog.pg_index i
  join pg_catalog.pg_class c on c.oid = i.indexrelid
 where c.relnamespace <> all (array['pg_catalog', 'information_schema', 'pg_toast']::pg_catalog.regnamespace[])
   and c.relpersistence <> 't'
