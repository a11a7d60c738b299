-- Database shop: grants (by several grantors), column grants, row-level security.
set role shop_owner;
grant select on all tables in schema sales, bank, stock, audit_trail, workload, "Größe & Maß" to shop_readers;
grant insert, update, delete on all tables in schema sales, stock to shop_writers;
revoke insert, update, delete on sales.turnover, sales.not_yet from shop_writers;
grant usage, select on all sequences in schema sales, stock, bank to shop_writers;
grant update on sequence sales.batch_no to shop_writers;
grant insert on bank.transfer to shop_writers;
grant update (balance) on bank.account to shop_writers;
grant insert, update, delete on all tables in schema workload to shop_app;
grant insert on audit_trail.access_log to shop_app;
grant insert, update on "Größe & Maß"."Kunden-Äußerungen" to public;
grant usage on sequence "Größe & Maß"."Kunden-Äußerungen_Nr_seq" to public;
grant usage on schema "Größe & Maß" to public;
grant execute on function audit_trail.write_access(text, text, double precision) to shop_writers;
grant execute on procedure sales.close_orders(date) to shop_lead;
revoke usage on type sales.address from public;
grant usage on type sales.address to shop_writers, crm_owner;

-- Columns: support sees and corrects contact data only.
grant select (id, name, email, phone), update (email, phone) on sales.customer to shop_support;
grant select (id, balance) on bank.account to shop_lead with grant option;
grant references (no) on sales.invoice to billing_owner;

-- A chain of grantors, and one right given twice by different ones.
grant select, insert, update on sales.invoice to shop_lead with grant option;
grant select on sales.invoice to shop_report;
set role shop_lead;
grant select on sales.invoice to shop_report;
grant insert, update on sales.invoice to shop_bot;
grant select on sales.invoice to "Prüfer" with grant option;
grant select (id) on bank.account to shop_support;
set role "Prüfer";
grant select on sales.invoice to "Auswertung ""Nord""";

set role crm_owner;
grant select, insert, update on all tables in schema crm to shop_writers;
grant delete on crm.note, crm.ticket to shop_writers;
grant usage on all sequences in schema crm to shop_writers;
grant select on crm.staff to shop_readers with grant option;
grant select on crm.ticket to shop_lead with grant option;
set role shop_lead;
grant select on crm.ticket to shop_report;
set role crm_owner;
grant select on crm.ticket to shop_report;

-- Row-level security: a tenant sees its own notes, auditors all of them, nobody else any. Not forced on the owner.
alter table crm.note enable row level security;
create policy own_tenant on crm.note for all to shop_writers
    using (tenant = nullif(pg_catalog.current_setting('crm.tenant', true), '')::integer)
    with check (tenant = nullif(pg_catalog.current_setting('crm.tenant', true), '')::integer);
create policy auditors on crm.note as permissive for select to "Prüfer" using (true);
create policy no_secrets on crm.note as restrictive for select to public using (text not like 'geheim%');
comment on policy no_secrets on crm.note is 'even auditors don''t see these';
set role shop_owner;
alter table sales.refund enable row level security;
create policy everyone on sales.refund using (true);
reset role;

-- Only our own tables: as a plain ANALYZE, the catalogs' would warn.
do $$
declare
    t regclass;
begin
    for t in
        select c.oid from pg_catalog.pg_class c
         where c.relkind in ('r', 'm', 'p') and not c.relispartition and c.relispopulated
           and c.relnamespace::regnamespace::text in ('sales', 'bank', 'stock', 'audit_trail', 'workload', 'crm', '"Größe & Maß"')
    loop
        execute pg_catalog.format('analyze %s', t);
    end loop;
end
$$;
