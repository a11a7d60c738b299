-- Settings and rights of the two databases. Run in database `postgres` after 01-databases.sql. May be run again.
set role shop_owner;
alter database shop set timezone = 'Europe/Berlin';
alter database shop set bytea_output = 'escape';
alter database shop set idle_in_transaction_session_timeout = '10min';
comment on database shop is 'der Laden: customers, orders, stock';
revoke all on database shop from public;
grant connect on database shop to shop_readers, shop_support, shop_lead;
grant connect, temporary on database shop to shop_app;
grant create on database shop to crm_owner;
-- PUBLIC has no CONNECT here, so the migration's two logins need it by name, as preflight tells the operator (CO0324, CO0325).
do $$
declare
    login name;
begin
    for login in select rolname from pg_catalog.pg_roles where rolname in ('changeover', 'changeover_repl') loop
        execute pg_catalog.format('grant connect on database shop to %I', login);
    end loop;
end
$$;
reset role;

set role billing_owner;
alter database billing set "DateStyle" = 'SQL, DMY';
alter database billing set "IntervalStyle" = 'iso_8601';
revoke temporary on database billing from public;
grant connect on database billing to billing_app, shop_report;
reset role;

-- Settings of a role in one database.
alter role shop_report in database shop set work_mem = '16MB';
alter role shop_app in database shop set search_path = 'sales', 'crm', 'public';
alter role billing_app in database billing set timezone = 'America/New_York';
