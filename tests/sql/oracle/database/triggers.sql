-- Every trigger's state, those that guard foreign keys included (pg_dump leaves them out).
select pg_catalog.format('%s on %s%s', case when t.tgisinternal then 'foreign key ' || k.conname else t.tgname::text end,
           t.tgrelid::pg_catalog.regclass, case when t.tgisinternal then pg_catalog.format(' by %s type %s', t.tgfoid::pg_catalog.regproc, t.tgtype) end),
       pg_catalog.format('enabled=%s', t.tgenabled)
  from pg_catalog.pg_trigger t
  left join pg_catalog.pg_constraint k on k.oid = t.tgconstraint
