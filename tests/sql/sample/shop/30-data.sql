-- Database shop: rows. Deterministic: the same size gives the same rows. The setting `sample.size_mb` (default 200) is about the
-- size of the database in MB when the last file has run:  PGOPTIONS='-c sample.size_mb=50' psql -f …
set role shop_owner;
set timezone = 'UTC';

create or replace function pg_temp.n(per_mb numeric) returns integer
language sql as $$
    select greatest(10, per_mb * coalesce(nullif(pg_catalog.current_setting('sample.size_mb', true), ''), '200')::numeric)::integer
$$;
grant execute on function pg_temp.n(numeric) to public;

insert into sales.customer (name, email, phone, home, tags, seen_states, profile, credit, born, score, active, updated_at)
select (array['Åsa', 'Jürgen', 'Mary', 'Łukasz', 'Zoë', 'José', 'Δημήτρης', 'O''Neil'])[1 + i % 8] || ' ' || pg_catalog.initcap(pg_catalog.substr(pg_catalog.md5(i::text), 1, 9)),
       'c' || i || '@' || (array['example.org', 'beispiel.de', 'EXAMPLE.com'])[1 + i % 3],
       case when i % 5 > 0 then '+49 40 ' || (i * 7919::bigint) % 10000000 end,
       row('Straße ' || i % 900, 'Ort ' || i % 70, pg_catalog.lpad((i % 99999)::text, 5, '0'))::sales.address,
       case when i % 4 = 0 then null when i % 4 = 1 then '{}' else array['t' || i % 7, 'mit "Anführung"', null] end,
       array['new', 'paid', 'Ärger']::sales.order_state[],
       pg_catalog.jsonb_build_object('level', i % 5, 'likes', pg_catalog.to_jsonb(array[i % 3, i % 11]), 'n', i * 1.10::numeric,
           'näme', 'ü' || i, 'nothing', null),
       case when i % 97 = 0 then 'NaN' when i % 101 = 0 then 'Infinity' else (i * 37 % 100000) / 7.0 end::numeric,
       case when i % 1009 = 0 then 'infinity' when i % 1013 = 0 then date '0044-03-15 BC' else date '1950-01-01' + i % 20000 end,
       case when i % 103 = 0 then 'NaN' when i % 107 = 0 then '-0' else pg_catalog.sin(i) end::double precision,
       i % 10 > 0,
       timestamptz '2026-01-01 00:00:00.123456+00' - i * interval '61 seconds'
  from pg_catalog.generate_series(1, pg_temp.n(80)) i;

insert into sales.product (sku, title, price, band, sizes, valid, attributes, raw_source, picture)
select 'SKU' || pg_catalog.lpad(i::text, 7, '0'),
       'Produkt № ' || i || ' ' || pg_catalog.md5('p' || i),
       1 + i % 500 + 0.99,
       pg_catalog.concat('[', i % 50, ',', i % 50 + 10, case when i % 2 = 0 then ')' else ']' end)::sales.price_band,
       array[[i % 3, 2], [3, i % 5]],
       case i % 5 when 0 then 'empty' when 1 then '(,2026-06-01)' else '[2025-01-01,2027-01-01)' end::daterange,
       pg_catalog.jsonb_build_object('colour', (array['rot', 'grün', 'blau'])[1 + i % 3], 'stock', i % 100),
       ('{"b" : 1,   "a": ' || i || ', "a": 2}')::json,
       case when i % 10 = 0 then pg_catalog.decode(pg_catalog.repeat(pg_catalog.md5(i::text), 300), 'hex') end
  from pg_catalog.generate_series(1, pg_temp.n(10)) i;

insert into sales.orders (placed_on, customer_id, state, channel, total, note, extra)
select date '2025-01-01' + (i * 7919::bigint % 640)::integer, 1 + i % pg_temp.n(80),
       (array['new', 'paid', 'packed', 'sent', 'returned', 'Ärger'])[1 + i % 6]::sales.order_state,
       (array['web', 'shop', 'Telefon'])[1 + i % 3], i % 10000 / 100.0,
       case when i % 3 = 0 then 'Notiz ' || pg_catalog.md5(i::text) end,
       case when i % 2 = 0 then pg_catalog.jsonb_build_object('coupon', i % 100, 'trace', pg_catalog.md5('o' || i)) end
  from pg_catalog.generate_series(1, pg_temp.n(480)) i;
insert into sales.order_line (placed_on, order_id, line_no, product_id, quantity, price, discount)
select o.placed_on, o.id, l, 1 + ((o.id + l * 31) % pg_temp.n(10))::integer, 1 + l % 3, o.id % 500 + 0.99,
       case when o.id % 211 = 0 then 'NaN' when l = 2 then 0.05 end::numeric
  from sales.orders o, pg_catalog.generate_series(1, 4) l;
insert into sales.invoice (placed_on, order_id, amount, period, issued_at)
select placed_on, id, total, pg_catalog.tstzrange(placed_on::timestamptz, placed_on + interval '30 days', '[)'), placed_on::timestamptz
  from sales.orders where id % 3 = 0 order by id;
insert into sales.credit_note (invoice_no, amount, reason)
select no, amount / 2, 'Kulanz' from sales.invoice where no % 20 = 0 order by no;
insert into sales.refund (invoice_no, amount, waiting)
select no, amount, interval '1 month 3 days -04:05:06.789' * (no % 5) from sales.invoice where no % 25 = 0 order by no;

insert into sales.price_list
select 'L' || i % 40, date '2025-01-01' + i / 40, i % 1000 / 8.0, case when i % 2 = 0 then 'alt' end
  from pg_catalog.generate_series(0, 399) i;

insert into bank.account (id, holder, opening, balance)
select i, 'Konto ' || i, 1000, 1000 from pg_catalog.generate_series(1, 400) i;

insert into stock.warehouse values
    ('HH', 'Hamburg', '(53.55,9.99)', '10.1.0.0/16', '{[8,12),[13,18)}'), ('HB', 'Bremen', null, '10.2.0.1', '{}'),
    ('MÜ', 'München', '(48.13,11.57)', '2001:db8::/32', '{[9,17)}'), ('B', 'Berlin', '(52.5,13.4)', null, null);
insert into stock.level (product_id, warehouse, quantity)
select p.id, w.code, p.id % 100 from sales.product p, stock.warehouse w;
insert into stock.reservation (product_id, warehouse, holder, quantity, until)
select product_id, warehouse, product_id % 50, 1, timestamp '2026-05-01' + quantity * interval '1 hour'
  from stock.level where product_id % 7 = 0;
insert into stock.movement (warehouse, moved_on, product_id, delta, why)
select (array['HH', 'HB', 'MÜ', 'B', 'Übersee'])[1 + i % 5], date '2025-06-01' + (i * 31::bigint % 400)::integer, 1 + i % pg_temp.n(10), i % 21 - 10,
       case when i % 9 = 0 then 'Inventur' end
  from pg_catalog.generate_series(1, pg_temp.n(240)) i;
insert into stock.booking (bay, during, who)
select pg_catalog.int4range(i % 20 * 2, i % 20 * 2 + 2),
       pg_catalog.tstzrange(timestamptz '2025-01-01 00:00+00' + i / 20 * interval '1 hour', timestamptz '2025-01-01 01:00+00' + i / 20 * interval '1 hour'),
       'Spedition ' || i % 12
  from pg_catalog.generate_series(0, pg_temp.n(10)) i;

-- One row in a hundred is there twice, byte for byte.
insert into audit_trail.access_log (at, who, path, took, client)
select timestamptz '2026-01-01 00:00+00' + (i - (i % 100 = 0)::integer) * interval '1 second',
       'u' || (i - (i % 100 = 0)::integer) % 1000, '/p/' || pg_catalog.md5((i - (i % 100 = 0)::integer)::text),
       (i - (i % 100 = 0)::integer) % 997 / 7.0, '10.0.0.1'
  from pg_catalog.generate_series(1, pg_temp.n(500)) i;

insert into "Größe & Maß"."Kunden-Äußerungen" ("Überschrift", "select", "Maß ""brutto""", "日本")
select 'Überschrift ' || i, case when i % 2 = 0 then 'a' || pg_catalog.chr(9) || 'b\n' || pg_catalog.chr(10) || '\N' end, i / 3.0, '日本語 ' || i
  from pg_catalog.generate_series(1, pg_temp.n(5)) i;

-- What triggers would have counted.
insert into audit_trail.order_event (placed_on, order_id, what, by_role, at)
select placed_on, id, 'insert', 'shop_app', placed_on::timestamptz from sales.orders order by id;
insert into audit_trail.movement_log (movement_id, delta) select id, delta from stock.movement order by id;
insert into audit_trail.counter (name, shard, n)
select 'orders', s, (select pg_catalog.count(*) from sales.orders where id % 16 = s) from pg_catalog.generate_series(0, 15) s;
insert into audit_trail.counter (name, shard, n)
select 'invoices', 0, pg_catalog.count(*) from sales.invoice;

set role crm_owner;
insert into crm.ticket (customer_id, subject, body, open)
select 1 + i * 13 % pg_temp.n(80), 'Frage ' || i, case when i % 50 = 0 then pg_catalog.repeat('Sehr lang: ' || pg_catalog.md5(i::text) || ' ', 400) else pg_catalog.md5(i::text) end, i % 3 > 0
  from pg_catalog.generate_series(1, pg_temp.n(40)) i;
insert into crm.ticket_event (ticket_no, what) select no, 'insert' from crm.ticket order by no;
insert into crm.note (tenant, ticket_no, text)
select i % 7, 40000 + i % pg_temp.n(40), 'Vermerk ' || pg_catalog.md5(i::text) from pg_catalog.generate_series(1, pg_temp.n(40)) i;
insert into crm.document (id, title, body, blob, meta, marks, bits)
select pg_catalog.md5('d' || i)::uuid, 'Dokument ' || i,
       pg_catalog.repeat(pg_catalog.md5('b' || i) || ' Größe ', 200),
       pg_catalog.decode(pg_catalog.repeat(pg_catalog.md5('x' || i), 1500), 'hex'),
       pg_catalog.jsonb_build_object('pages', i, 'text', pg_catalog.repeat(pg_catalog.md5('j' || i), 100)),
       ('<a n="' || i || '">ä</a>')::xml, (i % 1024)::bit(10)
  from pg_catalog.generate_series(1, pg_temp.n(12)) i;
insert into crm.department (id, name, head_id) select i, 'Abteilung ' || i, i * 10 from pg_catalog.generate_series(1, 20) i;
insert into crm.employee (id, name, department_id, boss_id)
select i, 'Person ' || i, 1 + (i - 1) / 10, case when i > 1 then i / 2 end from pg_catalog.generate_series(1, 200) i;
select pg_catalog.setval('crm.employee_id_seq', 200);
reset role;
reset timezone;
drop function pg_temp.n(numeric);
