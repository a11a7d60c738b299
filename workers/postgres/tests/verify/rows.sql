-- Run on the source only.
insert into fault.typed
select i, 'text ' || i, 'v' || i, 'c' || i % 9, decode(md5(i::text), 'hex'), (i % 100)::numeric + 1.10, i / 7.0, i / 3.0,
       jsonb_build_object('a', i, 'b', jsonb_build_array(1, 2, i)), '{"a":  1}', array[1, 2, i], array['x', null, ''],
       '2024-01-01Z'::timestamptz + i * interval '1.000001 s', '2024-01-01'::timestamp + i * interval '1 s', i * interval '1 min',
       int4range(i, i + 5), i % 2 = 0, overlay(md5(i::text) placing '0' from 32)::uuid, i::money, '<a/>', (i % 256)::bit(8),
       case when i % 50 = 0 then repeat(md5(i::text), 1000) end, i, i + 1
  from generate_series(1, 2000) i;
update fault.typed set f8 = 0 where id = 129;
insert into fault.composite select i % 50, 'k' || i, md5(i::text)::uuid, 'p' || i from generate_series(1, 5000) i;
insert into fault.icu select chr(192 + i % 60) || md5(i::text), i::text from generate_series(1, 3000) i;
insert into fault.array_key select array[i % 7, i], i::text from generate_series(1, 3000) i;
insert into fault.odd_key values ('', 'empty'), (' ', 'blank'), (E'a\nb', 'lf'), (E'a\\b', 'bs'), ('a"b''c', 'q'), ('(x,y)', 'p'),
    (E'cr\r', 'cr'), ('日本', 'm'), ('a', null), ('b', '');
insert into fault."Größe & ""Maß""" select i, 'x' from generate_series(1, 10) i;
insert into fault.part select i, case when i % 2 = 0 then 'a' else 'b' end, i from generate_series(1, 1000) i;
insert into fault.parent select i, 'p' from generate_series(1, 100) i;
insert into fault.child select i, 'c', 'y' from generate_series(1, 100) i;
insert into fault.identity_index select i, i % 10, 'x' from generate_series(1, 500) i;
insert into fault.bag select '2024-01-01Z'::timestamptz + (i % 100) * interval '1 s', 'w' || i % 10, 1.0 from generate_series(1, 3000) i;
insert into fault.big select i, i % 1000, md5(i::text) from generate_series(1, 150000) i;
insert into fault.hot select i, 0 from generate_series(1, 500) i;
insert into fault.mover select i * 1000000::bigint, i from generate_series(1, 200) i;
