-- Database billing: rows, a tenth of what `sample.size_mb` says, and what follows them.
set role billing_owner;
set timezone = 'UTC';
create or replace function pg_temp.n(per_mb numeric) returns integer
language sql as $$
    select greatest(10, per_mb * coalesce(nullif(pg_catalog.current_setting('sample.size_mb', true), ''), '200')::numeric)::integer
$$;

insert into billing.account (holder, iban, opening, balance, limits)
select 'Halter ' || i, case when i % 3 > 0 then 'DE' || pg_catalog.lpad(i::text, 20, '0') end, 500, 500,
       case when i % 4 = 0 then 'empty' else pg_catalog.concat('[', i % 10, ',)') end::numrange
  from pg_catalog.generate_series(1, 200) i;
insert into billing.receipt (account_id, amount, text)
select 1 + i % 200, i % 1000 / 4.0, 'Quittung ' || pg_catalog.md5(i::text) from pg_catalog.generate_series(1, pg_temp.n(150)) i;
insert into billing.reversal (receipt_no, why)
select no, 'doppelt' from billing.receipt where no % 50 = 0 order by no;
insert into billing.payment (kind, no, account_id, amount, details, scan)
select (array['card', 'transfer', 'Gutschein'])[1 + i % 3]::billing.payment_kind, i, 1 + i % 200, i % 777 / 4.0,
       pg_catalog.jsonb_build_object('terminal', i % 40, 'trace', pg_catalog.md5(i::text)),
       case when i % 40 = 0 then pg_catalog.decode(pg_catalog.repeat(pg_catalog.md5(i::text), 250), 'hex') end
  from pg_catalog.generate_series(1, pg_temp.n(150)) i;
insert into billing.message (at, body)
select timestamptz '2026-01-01 00:00+00' + i / 2 * interval '1 minute', 'Nachricht ' || i / 2 from pg_catalog.generate_series(1, pg_temp.n(50)) i;

create trigger log_transfer after insert on billing.transfer for each row execute function billing.log_transfer();
create trigger log_transfer_replica after insert on billing.transfer for each row execute function billing.log_transfer();
alter table billing.transfer enable replica trigger log_transfer_replica;
create view billing.balances as select holder, balance - opening as moved from billing.account;
create materialized view billing.per_kind as select kind, pg_catalog.count(*) as payments from billing.payment group by 1;

grant select, insert, update, delete on all tables in schema billing, workload to billing_app;
revoke insert, update, delete on billing.per_kind, billing.balances, billing.transfer_log from billing_app;
grant usage on all sequences in schema billing to billing_app;
reset role;
reset timezone;
drop function pg_temp.n(numeric);
