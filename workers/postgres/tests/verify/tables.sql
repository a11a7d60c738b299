-- Run on both sides: the tables of the test, of one row type each that could hide a difference.
create schema fault;
create table fault.typed (
    id bigint primary key, t text, v varchar(40), c char(8), b bytea, n numeric, f8 double precision, f4 real, j jsonb, js json,
    a int[], ta text[], ts timestamptz, tsl timestamp, iv interval, r int4range, bo boolean, u uuid, m money, x xml, bi bit(8),
    toast text, swap1 int, swap2 int
);
alter table fault.typed alter column toast set storage external;
create table fault.composite (a int, b text, c uuid, payload text, primary key (a, b, c));
create table fault.icu (k text collate "de-x-icu" primary key, payload text);
create table fault.array_key (k int[] primary key, payload text);
create table fault.odd_key (k text primary key, payload text);
create table fault."Größe & ""Maß""" ("Nr." int primary key, "select" text);
create table fault.part (id int, region text, v int, primary key (region, id)) partition by list (region);
create table fault.part_a partition of fault.part for values in ('a');
create table fault.part_b partition of fault.part for values in ('b');
create table fault.parent (id int primary key, x text);
create table fault.child (y text, primary key (id)) inherits (fault.parent);
create table fault.identity_index (a int not null, b int not null, payload text);
create unique index identity_index_b_a on fault.identity_index (b desc, a);
alter table fault.identity_index replica identity using index identity_index_b_a;
create table fault.bag (at timestamptz, who text, n numeric);
create table fault.nothing ();
create table fault.big (id bigint primary key, a int, b text);
create table fault.hot (id int primary key, n bigint not null);
create table fault.flip (id int primary key, n bigint);
create table fault.mover (id bigint primary key, who int not null unique);
create table fault.log (at timestamptz default clock_timestamp(), who int);
create sequence fault.numbers;
create view fault.everything as select id from fault.big;
alter table fault.hot add constraint hot_small check (n > -1);
-- A server words this check in another way when it is made from its own words, as a restore does.
create table fault.reworded (id int primary key, s varchar(10) check (s in ('a', 'b')));
create function fault.twice(int) returns int language sql as 'select 2 * $1';
