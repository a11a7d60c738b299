-- The gate of one database: a flag, and the function that asks it, run by a statement trigger on every table. Runs twice
-- without harm and never moves a flag that has been set. Needs: the home schema. Locks: none on user tables.
--
-- The flag is a sequence: 1 is open, anything else is shut. A sequence has no versions, so a transaction with an old snapshot sees
-- it as it is now. That it isn't transactional either is why it's shut by the last statement before a fence's COMMIT.
create sequence if not exists changeover.gate_flag as bigint minvalue 1 maxvalue 2 cache 1;
select pg_catalog.setval('changeover.gate_flag', 1)
 where pg_catalog.pg_sequence_last_value('changeover.gate_flag'::pg_catalog.regclass) is null;
grant usage on schema changeover to public;
grant select on sequence changeover.gate_flag to public;

-- Runs as whoever writes, before each statement that writes. Plain expressions only, without a query: those cost a few µs.
create or replace function changeover.gate() returns trigger language plpgsql as $$
begin
    -- Held until the transaction ends. Who shuts the gate takes the same lock exclusively: then every transaction that has come
    -- past here has ended, and later ones wait here. (The function returns void, which isn't null.)
    if pg_catalog.pg_advisory_xact_lock_shared(7163369985480453750) is null then
        return null;
    end if;
    if pg_catalog.pg_sequence_last_value('changeover.gate_flag'::pg_catalog.regclass) operator(pg_catalog.=) 1::bigint then
        return null;
    end if;
    raise exception 'this database doesn''t take writes any more: it has moved' using errcode = '25006',
        hint = 'Connect anew. Who runs the migration sees where to by `changeover status`.';
end $$;
revoke all on function changeover.gate() from public;
