-- The roles of the sample instance. Run in database `postgres` by the master user (CREATEROLE) or the cluster's superuser.
-- Running it again changes nothing. Passwords are for throw-away clusters only: `sample-<role>`.
-- The loader becomes a member of the owners for the time of the load; 99-finish.sql takes that back.
do $$
declare
    r record;
begin
    for r in
        select *
          from (values
            -- owners: log in for deployments only
            ('shop_owner', 'login'), ('billing_owner', 'login'), ('crm_owner', 'nologin'),
            -- groups
            ('shop_writers', 'nologin'), ('shop_readers', 'nologin'), ('Prüfer', 'nologin'),
            -- logins
            ('shop_app', 'login'), ('shop_report', 'login'), ('shop_lead', 'login'), ('shop_bot', 'login'),
            ('billing_app', 'login'), ('Auswertung "Nord"', 'login'), ('shop_support', 'login noinherit connection limit 5')
          ) as t (name, kind)
    loop
        if not exists (select from pg_catalog.pg_roles where rolname = r.name) then
            execute pg_catalog.format('create role %I %s', r.name, r.kind);
            if r.kind like 'login%' then
                execute pg_catalog.format('alter role %I password %L', r.name, 'sample-' || r.name);
            end if;
        end if;
        if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
            execute pg_catalog.format('grant %I to %I', r.name, current_user);
        end if;
    end loop;
end
$$;

alter role shop_app valid until '2099-12-31 23:59:59+00';
comment on role shop_app is 'the shop''s web application; writes by its group and by grants of its own';
comment on role "Auswertung ""Nord""" is 'Berichte für den Norden (nur lesend)';

-- Memberships: direct, through a group of groups, with admin option, and one granted by somebody else than the loader.
grant shop_readers to shop_writers;
grant shop_writers to shop_app;
grant shop_readers to shop_report, "Auswertung ""Nord""", "Prüfer";
grant "Prüfer" to shop_support;
grant shop_writers to shop_lead with admin option;
set role shop_lead;
grant shop_writers to shop_bot;
reset role;

-- Settings of roles, some of which change how values are printed.
alter role shop_app set lock_timeout = '10s';
alter role shop_app set application_name = 'shop';
alter role shop_report set default_transaction_read_only = 'on';
alter role shop_report set statement_timeout = '5min';
alter role "Auswertung ""Nord""" set search_path = 'Größe & Maß', 'sales', 'public';
alter role billing_app set "DateStyle" = 'German, DMY';
