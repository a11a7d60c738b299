-- Triggers whose state is remembered, with the state to give back. One that is gone meanwhile has nothing to be given back.
-- Changes nothing. $1: the remembered states looked for.
select s.relation, n.nspname::text, c.relname::text, s.trigger::text, s.state::text
  from changeover.saved_trigger s
  join pg_catalog.pg_trigger t on t.tgrelid = s.relation and t.tgname = s.trigger
  join pg_catalog.pg_class c on c.oid = s.relation
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where s.state::text = any ($1)
 order by n.nspname, c.relname, s.trigger;
