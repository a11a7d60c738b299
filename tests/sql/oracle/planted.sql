-- A small schema in which the oracle's own tests plant faults: a key and none, partitions, names that need quotes, sequences of
-- both directions, rights by every way. Run as the superuser.
do $$
declare
    name text;
begin
    foreach name in array array['shop_app login', 'shop_readers'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = pg_catalog.split_part(name, ' ', 1)) then
            execute 'create role ' || name;
        end if;
    end loop;
end
$$;
set client_min_messages = warning;
grant shop_readers to shop_app;
set role shop_owner;
create schema app;
grant usage on schema app to shop_app, shop_readers;
create table app."Item" (id int primary key, name text not null);
create index item_name on app."Item" (name);
create table app.part (id int primary key, item int not null references app."Item" (id), "a, b" text);
create table app.log (line text);
create table app.event (id int not null, what text, primary key (id)) partition by range (id);
create table app.event_1 partition of app.event for values from (0) to (2);
create table app.event_2 partition of app.event for values from (2) to (10);
create table app.none ();
create sequence app.numbers;
create sequence app.down increment -1;
create function app.twice(n int) returns int language sql as 'select 2 * n';
create function app.stamp() returns trigger language plpgsql as 'begin return new; end';
create trigger stamp before insert on app."Item" for each row execute function app.stamp();
alter table app."Item" enable always trigger stamp;
create materialized view app.sums as select count(*) from app.part;
grant select, insert, update on app."Item" to shop_app;
grant select on app."Item", app.part to shop_readers;
grant usage on sequence app.numbers to shop_app;
insert into app."Item" select g, 'item ' || g from pg_catalog.generate_series(1, 100) g;
insert into app.part select g, g, E'tab\tline\nback\\' || g from pg_catalog.generate_series(1, 100) g;
insert into app.log values ('same'), ('same'), (''), ('other');
insert into app.event values (0, 'zero'), (1, 'one'), (2, 'two'), (3, 'three'), (4, null);
insert into app.none default values;
insert into app.none default values;
select pg_catalog.setval('app.numbers', 100), pg_catalog.setval('app.down', -5);
reset role;
