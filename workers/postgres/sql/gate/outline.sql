-- How many triggers and tables there are, and how many of them a transaction has written that was running at a moment, or that began
-- later. As many as at that moment and none written since: then nothing has changed, and what was proved of it holds. A table is
-- known by its row type: pg_class is several times as large. Changes nothing, takes no locks on tables.
-- $1: the oldest transaction that was running at that moment.
select t.all_of_them, t.written, y.all_of_them, y.written
  from (select count(*) as all_of_them,
               count(*) filter (where pg_catalog.age(xmin) <= (select pg_catalog.age($1::text::xid))) as written
          from pg_catalog.pg_trigger) t,
       (select count(*) as all_of_them,
               count(*) filter (where pg_catalog.age(xmin) <= (select pg_catalog.age($1::text::xid))) as written
          from pg_catalog.pg_type
         where typtype = 'c'
           -- applications may make temporary ones as they like
           and typnamespace not in (select oid from pg_catalog.pg_namespace where nspname ~ '^pg_(toast_)?temp_')) y;
