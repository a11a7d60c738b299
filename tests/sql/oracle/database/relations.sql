-- What pg_dump doesn't say of a relation: whether a materialized view holds data, and its options.
select pg_catalog.format('%s', c.oid::pg_catalog.regclass),
       pg_catalog.format('kind=%s persistence=%s populated=%s identity=%s security=%s/%s options=%s', c.relkind, c.relpersistence,
           c.relispopulated, c.relreplident, c.relrowsecurity, c.relforcerowsecurity, c.reloptions)
  from pg_catalog.pg_class c
 where c.relkind in ('r', 'p', 'm', 'v', 'f', 'S')
   and c.relpersistence <> 't'
   and c.relnamespace <> all (array['pg_catalog', 'information_schema', 'pg_toast']::pg_catalog.regnamespace[])
