-- Database shop: foreign keys, unique and exclusion constraints, indexes, statistics.
set role shop_owner;
create unique index customer_email_key on sales.customer (pg_catalog.lower(email::text));
create index customer_name_trgm on sales.customer using gin (name public.gin_trgm_ops);
create index customer_profile on sales.customer using gin (profile jsonb_path_ops);
create index customer_active on sales.customer (born desc nulls last) include (name) where active and born is not null;
alter table sales.product add constraint product_sku_key unique (sku);
alter table sales.product add constraint product_band_sane check (band is null or pg_catalog.lower(band) >= 0) not valid;
create index product_search on sales.product using gin (search);
create unique index product_title_once on sales.product (pg_catalog.md5(title), (attributes ->> 'colour')) where price > 5;

alter table sales.orders add constraint orders_customer_fkey foreign key (customer_id) references sales.customer;
create index orders_customer on sales.orders (customer_id, placed_on desc);
create index orders_open on sales.orders (placed_on) where state in ('new', 'paid');
create index orders_2026q1_note on sales.orders_2026q1 using hash (note);
alter table sales.order_line
    add constraint order_line_order_fkey foreign key (placed_on, order_id) references sales.orders (placed_on, id) on delete cascade on update cascade,
    add constraint order_line_product_fkey foreign key (product_id) references sales.product;
create index order_line_product on sales.order_line (product_id);
alter table sales.invoice add constraint invoice_order_fkey foreign key (placed_on, order_id) references sales.orders deferrable initially deferred;
alter table sales.credit_note add constraint credit_note_invoice_fkey foreign key (invoice_no) references sales.invoice deferrable;
alter table sales.refund add constraint refund_invoice_fkey foreign key (invoice_no) references sales.invoice on delete restrict not valid;
create statistics sales.orders_state_channel (dependencies, mcv) on state, channel from sales.orders;

alter table bank.account add constraint account_not_broke check (balance > -1000000);
alter table bank.transfer
    add constraint transfer_from_fkey foreign key (from_id) references bank.account,
    add constraint transfer_to_fkey foreign key (to_id) references bank.account,
    add constraint transfer_elsewhere check (from_id <> to_id);
create index transfer_at on bank.transfer using brin (at);

alter table stock.level
    add constraint level_product_fkey foreign key (product_id) references sales.product,
    add constraint level_warehouse_fkey foreign key (warehouse) references stock.warehouse on update cascade;
alter table stock.reservation add constraint reservation_level_fkey foreign key (product_id, warehouse)
    references stock.level deferrable initially immediate;
create index movement_product on stock.movement (product_id);
alter table stock.booking add constraint booking_bay_free exclude using gist (bay with &&, during with &&);

create unique index "Überschrift einmal" on "Größe & Maß"."Kunden-Äußerungen" (pg_catalog.lower("Überschrift"));
create index access_log_at on audit_trail.access_log (at);
create index order_event_order on audit_trail.order_event (order_id);
create index transfer_log_transfer on audit_trail.transfer_log (transfer_id);
create index movement_log_movement on audit_trail.movement_log (movement_id);
grant references (id) on sales.customer to crm_owner;

set role crm_owner;
alter table crm.ticket add constraint ticket_customer_fkey foreign key (customer_id) references sales.customer (id);
create index ticket_open on crm.ticket (customer_id) where open;
create index ticket_event_ticket on crm.ticket_event (ticket_no);
alter table crm.note add constraint note_ticket_fkey foreign key (ticket_no) references crm.ticket on delete set null;
-- A cycle: departments have a head, employees a department, and bosses are employees.
alter table crm.employee
    add constraint employee_department_fkey foreign key (department_id) references crm.department deferrable initially deferred,
    add constraint employee_boss_fkey foreign key (boss_id) references crm.employee deferrable initially deferred;
alter table crm.department add constraint department_head_fkey foreign key (head_id) references crm.employee deferrable initially deferred;
create index document_blob on crm.document (pg_catalog.length(blob)) where blob is not null;
reset role;
