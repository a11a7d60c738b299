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
