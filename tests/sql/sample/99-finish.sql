-- Takes back the loader's memberships. Run in database `postgres`, last. May be run again.
do $$
declare
    r record;
begin
    for r in
        select g.rolname
          from pg_catalog.pg_auth_members m
          join pg_catalog.pg_roles g on g.oid = m.roleid
          join pg_catalog.pg_roles u on u.oid = m.member
         where u.rolname = current_user and not u.rolsuper
           and g.rolname in ('shop_owner', 'billing_owner', 'crm_owner', 'shop_writers', 'shop_readers', 'Prüfer', 'shop_app',
               'shop_report', 'shop_lead', 'shop_bot', 'billing_app', 'Auswertung "Nord"', 'shop_support')
    loop
        execute pg_catalog.format('revoke %I from %I', r.rolname, current_user);
    end loop;
end
$$;
