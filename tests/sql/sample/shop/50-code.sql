-- Database shop: functions, triggers, views.
set role shop_owner;

create function sales.order_total(day date, no bigint) returns numeric
language sql stable parallel safe as $$
    select coalesce(pg_catalog.sum(l.quantity * l.price), 0) from sales.order_line l where l.placed_on = day and l.order_id = no
$$;
comment on function sales.order_total(date, bigint) is 'what the lines add up to';
create function sales.token(customer integer) returns text
language sql immutable as $$ select pg_catalog.encode(ext.digest('salt' || customer::text, 'sha256'), 'hex') $$;
create aggregate sales.product_of(numeric) (sfunc = pg_catalog.numeric_mul, stype = numeric, initcond = '1');
create procedure sales.close_orders(before date) language plpgsql as $$
begin
    update sales.orders set state = 'sent' where state = 'packed' and placed_on < before;
end
$$;

-- With its owner's rights, because the application has none on audit_trail.
create function audit_trail.write_access(who text, path text, took double precision) returns void
language sql security definer set search_path = pg_catalog as $$
    insert into audit_trail.access_log (at, who, path, took, client)
    values (pg_catalog.clock_timestamp(), who, path, took, pg_catalog.inet_client_addr())
$$;

create function audit_trail.count_rows() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
    if tg_op = 'INSERT' then
        insert into audit_trail.order_event (placed_on, order_id, what) values (new.placed_on, new.id, 'insert');
        update audit_trail.counter set n = n + 1 where name = 'orders' and shard = new.id % 16;
    else
        insert into audit_trail.order_event (placed_on, order_id, what) values (old.placed_on, old.id, 'delete');
        update audit_trail.counter set n = n - 1 where name = 'orders' and shard = old.id % 16;
    end if;
    return null;
end
$$;
create function audit_trail.count_invoices() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
    update audit_trail.counter set n = n + (select pg_catalog.count(*) from fresh) where name = 'invoices' and shard = 0;
    return null;
end
$$;
create function audit_trail.log_transfer() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
    insert into audit_trail.transfer_log (transfer_id, amount) values (new.id, new.amount);
    return null;
end
$$;
create function audit_trail.log_movement() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
    insert into audit_trail.movement_log (movement_id, delta) values (new.id, new.delta);
    return null;
end
$$;
create function sales.touch() returns trigger
language plpgsql set search_path = pg_catalog as $$
begin
    new.updated_at := pg_catalog.clock_timestamp();
    return new;
end
$$;
create function sales.index_product() returns trigger
language plpgsql set search_path = pg_catalog as $$
begin
    new.search := pg_catalog.to_tsvector('pg_catalog.german', new.title);
    return new;
end
$$;
create function sales.refuse() returns trigger
language plpgsql as $$ begin raise exception 'amounts of refunds are positive' using errcode = '23514'; end $$;

-- Each of these would do its work a second time if it fired when a change is applied on another server. Ordinary ones don't
-- there; ENABLE ALWAYS and ENABLE REPLICA ones do.
create trigger count_rows after insert or delete on sales.orders for each row execute function audit_trail.count_rows();
create trigger count_invoices after insert on sales.invoice referencing new table as fresh
    for each statement execute function audit_trail.count_invoices();
create trigger log_transfer after insert on bank.transfer for each row execute function audit_trail.log_transfer();
alter table bank.transfer enable always trigger log_transfer;
create trigger log_movement after insert on stock.movement for each row execute function audit_trail.log_movement();
create trigger log_movement_replica after insert on stock.movement for each row execute function audit_trail.log_movement();
alter table stock.movement enable replica trigger log_movement_replica;
create trigger touch before update on sales.customer for each row execute function sales.touch();
create trigger index_product before insert or update of title on sales.product for each row execute function sales.index_product();
alter table sales.product enable always trigger index_product;
create constraint trigger refund_positive after insert on sales.refund deferrable initially deferred
    for each row when (new.amount < 0) execute function sales.refuse();
create trigger switched_off before delete on sales.refund for each row execute function sales.refuse();
alter table sales.refund disable trigger switched_off;
comment on trigger log_transfer on bank.transfer is 'always: every transfer is logged, however it came';
update sales.product set title = title where id <= 1000;

create view sales.open_orders with (security_barrier) as
    select o.placed_on, o.id, c.name, o.total, sales.order_total(o.placed_on, o.id) as lines
      from sales.orders o join sales.customer c on c.id = o.customer_id
     where o.state in ('new', 'paid');
create view sales."active customers" as select id, name, email, active from sales.customer where active with cascaded check option;
create function sales.rename_customer() returns trigger language plpgsql as $$
begin
    update sales.customer set name = new.name where id = old.id;
    return new;
end
$$;
create view sales.customer_names as select id, pg_catalog.upper(name) as name from sales.customer;
create trigger rename_customer instead of update on sales.customer_names for each row execute function sales.rename_customer();
create view sales.price_now as select code, price from sales.price_list;
create rule no_delete as on delete to sales.price_now do instead nothing;
create materialized view sales.turnover as
    select pg_catalog.date_trunc('month', placed_on::timestamp)::date as month, state, pg_catalog.count(*) as orders, pg_catalog.sum(total) as total
      from sales.orders group by 1, 2 order by 1, 2;
create unique index turnover_key on sales.turnover (month, state);
create materialized view sales.not_yet as select 1 as one with no data;
comment on materialized view sales.turnover is 'refreshed at night';

set role crm_owner;
create function crm.log_ticket() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
    insert into crm.ticket_event (ticket_no, what) values (new.no, pg_catalog.lower(tg_op));
    return null;
end
$$;
create trigger log_ticket after insert on crm.ticket for each row execute function crm.log_ticket();
create trigger log_ticket_replica after insert on crm.ticket for each row execute function crm.log_ticket();
alter table crm.ticket enable replica trigger log_ticket_replica;
create view crm.staff as
    with recursive chain as (
        select id, name, 0 as depth from crm.employee where boss_id is null
        union all
        select e.id, e.name, c.depth + 1 from crm.employee e join chain c on c.id = e.boss_id
    )
    select * from chain;
reset role;
