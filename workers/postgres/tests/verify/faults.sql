-- Run on the side that receives, with session_replication_role = replica. Each statement makes exactly the differences that the
-- lines before it expect.

-- a single bit
-- expect: fault.typed (id) = (101) differs
update fault.typed set b = set_byte(b, 3, get_byte(b, 3) # 1) where id = 101;
-- expect: fault.typed (id) = (102) differs
update fault.typed set bi = bi # b'00000001' where id = 102;
-- a row missing, a row too many
-- expect: fault.typed (id) = (103) missing on the target
delete from fault.typed where id = 103;
-- expect: fault.typed (id) = (900103) only on the target
insert into fault.typed select 900103, t, v, c, b, n, f8, f4, j, js, a, ta, ts, tsl, iv, r, bo, u, m, x, bi, toast, swap1, swap2 from fault.typed where id = 1;
-- values swapped between columns, and between rows
-- expect: fault.typed (id) = (104) differs
update fault.typed set swap1 = swap2, swap2 = swap1 where id = 104;
-- expect: fault.typed (id) = (105) differs
-- expect: fault.typed (id) = (106) differs
update fault.typed t set t = o.t from fault.typed o where (t.id, o.id) in ((105, 106), (106, 105));
-- a value moved into the next column
-- expect: fault.typed (id) = (132) differs
update fault.typed set t = v, v = t where id = 132;
-- NULL and the empty string
-- expect: fault.typed (id) = (107) differs
update fault.typed set v = '' where id = 107;
-- expect: fault.typed (id) = (108) differs
update fault.typed set v = null where id = 108;
-- expect: fault.typed (id) = (109) differs
update fault.typed set ta = array['x', '', ''] where id = 109;
-- expect: fault.odd_key (k) = (a) differs
update fault.odd_key set payload = '' where k = 'a';
-- expect: fault.odd_key (k) = (b) differs
update fault.odd_key set payload = null where k = 'b';
-- one character deep in a value that is kept out of line
-- expect: fault.typed (id) = (150) differs
update fault.typed set toast = overlay(toast placing 'X' from 20000 for 1) where id = 150;
-- equal by the type's equality, and still another value
-- expect: fault.typed (id) = (110) differs
update fault.typed set n = n::numeric(20, 3) where id = 110;
-- expect: fault.typed (id) = (119) differs
update fault.typed set iv = interval '119 min' + interval '1 day' - interval '24 hours' where id = 119;
-- expect: fault.typed (id) = (129) differs
update fault.typed set f8 = '-0' where id = 129;
-- expect: fault.typed (id) = (114) differs
update fault.typed set js = '{"a": 1}' where id = 114;
-- the last digit
-- expect: fault.typed (id) = (111) differs
update fault.typed set f8 = f8 * (1 + 2.3e-16) where id = 111;
-- expect: fault.typed (id) = (112) differs
update fault.typed set f4 = f4 * (1 + 1.2e-7)::real where id = 112;
-- expect: fault.typed (id) = (130) differs
update fault.typed set n = 'NaN' where id = 130;
-- expect: fault.typed (id) = (123) differs
update fault.typed set m = m + 0.01::money where id = 123;
-- within documents, arrays and ranges
-- expect: fault.typed (id) = (113) differs
update fault.typed set j = j || '{"a": 0}' where id = 113;
-- expect: fault.typed (id) = (133) differs
update fault.typed set j = j || '{"c": null}' where id = 133;
-- expect: fault.typed (id) = (115) differs
update fault.typed set a[2] = 3 where id = 115;
-- expect: fault.typed (id) = (116) differs
update fault.typed set a = '[0:2]={1,2,116}' where id = 116;
-- expect: fault.typed (id) = (120) differs
update fault.typed set r = int4range(lower(r), upper(r) + 1) where id = 120;
-- expect: fault.typed (id) = (124) differs
update fault.typed set x = '<a></a>' where id = 124;
-- a microsecond
-- expect: fault.typed (id) = (117) differs
update fault.typed set ts = ts + interval '1 microsecond' where id = 117;
-- expect: fault.typed (id) = (118) differs
update fault.typed set tsl = tsl + interval '1 microsecond' where id = 118;
-- expect: fault.typed (id) = (121) differs
update fault.typed set bo = not bo where id = 121;
-- expect: fault.typed (id) = (122) differs
update fault.typed set u = overlay(u::text placing 'f' from 36 for 1)::uuid where id = 122;
-- texts that look alike
-- expect: fault.typed (id) = (125) differs
update fault.typed set t = t || E'\r' where id = 125;
-- expect: fault.typed (id) = (126) differs
update fault.typed set t = replace(t, ' ', E'\\') where id = 126;
-- expect: fault.typed (id) = (127) differs
update fault.typed set t = t || '''' where id = 127;
-- expect: fault.typed (id) = (128) differs
update fault.typed set t = U&'te\0301xt 128' where id = 128;
-- expect: fault.typed (id) = (131) differs
update fault.typed set t = t || ' ' where id = 131;
-- keys that need quoting
-- expect: fault.odd_key (k) = () differs
-- expect: fault.odd_key (k) = ( ) differs
-- expect: fault.odd_key (k) = (a b) differs
-- expect: fault.odd_key (k) = (a\b) differs
-- expect: fault.odd_key (k) = (a"b'c) differs
-- expect: fault.odd_key (k) = ((x,y)) differs
-- expect: fault.odd_key (k) = (cr ) differs
-- expect: fault.odd_key (k) = (日本) differs
update fault.odd_key set payload = 'x' where k not in ('a', 'b');
-- expect: fault.Größe & "Maß" (Nr.) = (7) differs
update fault."Größe & ""Maß""" set "select" = 'y' where "Nr." = 7;
-- keys of several columns; before the first row and after the last
-- expect: fault.composite (a, b, c) = (7, k7, 8f14e45f-ceea-167a-5a36-dedd4bea2543) differs
update fault.composite set payload = 'zzz' where a = 7 and b = 'k7';
-- expect: fault.composite (a, b, c) = (999, z, fbade9e3-6a3f-36d3-d676-c1b808451dd7) only on the target
insert into fault.composite values (999, 'z', md5('z')::uuid, 'after the last');
-- expect: fault.composite (a, b, c) = (-1, z, fbade9e3-6a3f-36d3-d676-c1b808451dd7) only on the target
insert into fault.composite values (-1, 'z', md5('z')::uuid, 'before the first');
-- expect: fault.identity_index (b, a) = (3, 3) differs
update fault.identity_index set payload = 'y' where a = 3;
-- keys with an order of their own, or none that is known to be the same on both sides
-- expect: fault.icu (k) = (Ñ28dd2c7955ce926456240b2ff0100bde) differs
update fault.icu set payload = 'zzz' where k like '%' || md5('77');
-- expect: fault.array_key (k) = ({3,3}) differs
update fault.array_key set payload = 'zzz' where k = array[3, 3];
-- expect: fault.array_key (k) = ({4,4}) missing on the target
delete from fault.array_key where k = array[4, 4];
-- partitions and inheritance
-- expect: fault.part_a (region, id) = (a, 10) differs
update fault.part set v = -1 where id = 10;
-- expect: fault.part_a (region, id) = (a, 20) missing on the target
-- expect: fault.part_b (region, id) = (b, 20) only on the target
with gone as (delete from fault.part_a where id = 20 returning *) insert into fault.part_b select id, 'b', v from gone;
-- expect: fault.parent (id) = (6) differs
update only fault.parent set x = 'r' where id = 6;
-- expect: fault.child (id) = (5) differs
update fault.child set x = 'q' where id = 5;
-- the first row, the last, and one in the middle of many
-- expect: fault.big (id) = (1) differs
-- expect: fault.big (id) = (77777) differs
-- expect: fault.big (id) = (150000) differs
update fault.big set a = a + 1 where id in (1, 77777, 150000);
-- no key: one more of equal rows, one less, one changed
-- expect: fault.bag (no key) 1 × row: too many on the target
insert into fault.bag select * from fault.bag where who = 'w3' limit 1;
-- expect: fault.bag (no key) 1 × row: missing on the target
delete from fault.bag where ctid = (select min(ctid) from fault.bag where who = 'w4');
-- expect: fault.bag (no key) 1 × row: missing on the target
-- expect: fault.bag (no key) 1 × row: too many on the target
update fault.bag set n = 1.00 where ctid = (select min(ctid) from fault.bag where who = 'w5');
-- expect: fault.log (no key) 1 × row: too many on the target
insert into fault.log values ('2000-01-01', 99);
-- what isn't rows
-- expect: column fault.big.a: differs
alter table fault.big alter column a set default 7;
-- expect: column fault.hot.n: differs
alter table fault.hot alter column n drop not null;
-- expect: index fault.mover.mover_who_key: missing on the target
-- expect: constraint fault.mover.mover_who_key: missing on the target
alter table fault.mover drop constraint mover_who_key;
-- expect: right SELECT on table fault.big to pg_monitor by its owner: only on the target
grant select on fault.big to pg_monitor;
-- expect: owner of table fault.icu: differs
alter table fault.icu owner to fault_other;
-- expect: function fault.twice(integer): differs
create or replace function fault.twice(int) returns int language sql as 'select $1 + $1';
-- expect: sequence values fault.numbers: differs
alter sequence fault.numbers increment 2;
-- expect: index fault.identity_index.identity_index_b_a: differs
drop index fault.identity_index_b_a;
create unique index identity_index_b_a on fault.identity_index (b, a);
alter table fault.identity_index replica identity using index identity_index_b_a;
-- expect: constraint fault.hot.hot_small: differs
alter table fault.hot drop constraint hot_small, add constraint hot_small check (n > -10);
-- expect: view fault.everything: differs
create or replace view fault.everything as select id from fault.mover;
-- expect: constraint fault.reworded.reworded_s_check: differs
alter table fault.reworded drop constraint reworded_s_check, add constraint reworded_s_check check (s in ('a', 'c'));
