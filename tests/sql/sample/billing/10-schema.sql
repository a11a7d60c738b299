-- Database billing: smaller, with the same ledger as shop. Run by a member of the owner, or by the cluster's superuser.
set role billing_owner;
create schema billing;
create schema workload;
comment on schema billing is 'money that others owe';
create extension pgcrypto with schema public;
grant usage on schema billing, workload to billing_app;
grant usage on schema billing to shop_report;
alter default privileges for role billing_owner in schema billing grant select on tables to shop_report;

create type billing.payment_kind as enum ('card', 'transfer', 'Gutschein');
create domain billing.iban as text check (value ~ '^[A-Z]{2}[0-9]{2}[A-Z0-9]{6,30}$');
create sequence billing.receipt_no as bigint cache 10 start 5000000;
create sequence billing.reversal_no as bigint increment -1 maxvalue -1 start -1;

create table billing.account (
    id serial primary key,
    holder text not null,
    iban billing.iban,
    opening numeric(14, 2) not null,
    balance numeric(14, 2) not null,
    limits numrange default '[0,1000]'
);
create table billing.transfer (
    id bigint generated always as identity primary key,
    from_id integer not null references billing.account,
    to_id integer not null references billing.account,
    amount numeric(14, 2) not null check (amount > 0),
    at timestamptz not null default pg_catalog.now()
);
create table billing.transfer_log (id bigint generated always as identity primary key, transfer_id bigint not null, amount numeric(14, 2) not null);
create table billing.payment (
    kind billing.payment_kind not null,
    no bigint not null,
    account_id integer not null references billing.account,
    amount numeric(14, 2) not null,
    details jsonb,
    scan bytea,
    primary key (kind, no)
) partition by list (kind);
create table billing.payment_card partition of billing.payment for values in ('card');
create table billing.payment_other partition of billing.payment default;
create table billing.receipt (
    no bigint primary key default pg_catalog.nextval('billing.receipt_no'),
    account_id integer not null references billing.account,
    amount numeric(14, 2) not null,
    text text
);
create table billing.reversal (
    no bigint primary key default pg_catalog.nextval('billing.reversal_no'),
    receipt_no bigint not null references billing.receipt deferrable initially deferred,
    why text
);
create table billing.message (at timestamptz not null, body text);
create unique index account_iban_key on billing.account (pg_catalog.upper(iban::text)) where iban is not null;
create index payment_account on billing.payment (account_id);

create table workload.ledger (
    client integer not null,
    seq bigint not null,
    version bigint not null,
    slot integer not null,
    op text not null,
    primary key (client, seq)
);
create table workload.journal (client integer not null, seq bigint not null, version bigint not null);
create table workload.slot (
    client integer not null,
    slot integer not null,
    version bigint not null,
    last_seq bigint not null,
    primary key (client, slot)
);
create table workload.handed_out (sequence text not null, value bigint not null, client integer not null, seq bigint not null);
create table workload.big_value (
    client integer not null,
    slot integer not null,
    version bigint not null,
    digest text not null,
    body text not null,
    raw bytea,
    doc jsonb,
    primary key (client, slot)
);
alter table workload.big_value alter column body set storage external;

create function billing.log_transfer() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
    insert into billing.transfer_log (transfer_id, amount) values (new.id, new.amount);
    return null;
end
$$;
reset role;
