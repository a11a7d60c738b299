-- Database shop: schemas, extensions, types, sequences. Run by a member of the owners, or by the cluster's superuser.
set role shop_owner;
create schema sales;
create schema bank;
create schema stock;
create schema audit_trail;
create schema workload;
create schema ext;
create schema "Größe & Maß";
comment on schema sales is 'orders and what hangs on them; it''s the heart';
comment on schema "Größe & Maß" is 'Altbestand — Namen bleiben, wie sie sind';
create extension pgcrypto with schema ext;
create extension pg_trgm with schema public;
grant usage on schema sales, bank, stock, audit_trail, workload, ext, "Größe & Maß" to shop_readers, shop_lead, shop_support;
grant usage on schema sales to crm_owner;

-- One schema belongs to somebody else.
set role crm_owner;
create schema crm;
grant usage on schema crm to shop_readers, shop_lead, shop_support, shop_owner;

set role shop_owner;
create type sales.order_state as enum ('new', 'paid', 'packed', 'sent', 'returned', 'Ärger');
create domain sales.email as text constraint email_has_at check (value ~ '^[^@]+@[^@]+$');
create domain sales.positive as numeric(12, 2) not null check (value > 0);
create type sales.price_band as range (subtype = numeric);
create type sales.address as (street text, city text, "Postleitzahl" varchar(10));
create domain sales.small_tags as text[] check (coalesce(array_length(value, 1), 0) <= 20);
comment on type sales.order_state is 'in the order in which an order goes through them';

-- Rights that later objects get by themselves.
alter default privileges for role shop_owner in schema sales grant select on tables to shop_readers;
alter default privileges for role shop_owner in schema sales grant usage on sequences to shop_writers;
alter default privileges for role shop_owner in schema audit_trail grant select on tables to "Prüfer" with grant option;
alter default privileges for role shop_owner revoke execute on functions from public;
alter default privileges for role shop_owner grant execute on functions to shop_readers;
set role crm_owner;
alter default privileges for role crm_owner in schema crm grant select, insert, update on tables to shop_writers;
alter default privileges for role crm_owner revoke usage on types from public;
set role shop_owner;

-- Sequences that tables don't own: shared by two tables, counting down, cached, in large steps, never used.
create sequence sales.order_id as bigint start 1000;
create sequence sales.document_no as bigint start 700001;
create sequence sales.refund_ref as bigint increment -1 maxvalue -1 start -1;
create sequence sales.batch_no as integer increment 10 minvalue 5 start 5;
create sequence sales.never_used as smallint;
comment on sequence sales.document_no is 'one number range for invoices and credit notes';
create sequence stock."Bewegungs-Nr" as bigint start 9000000000;
set role crm_owner;
create sequence crm.ticket_no as bigint cache 20 start 40000;
create collation crm.natural_order (provider = icu, locale = 'en-u-kn-true');
reset role;
