-- What a database holds besides tables and sequences. $1: schemas of tools; $2: the escalation function or ''; $3: the replication login.
-- Locks: none.
select pg_catalog.jsonb_build_object(
    'extensions', (
        select coalesce(pg_catalog.jsonb_agg(x order by x.name), '[]') from (
            select e.extname::text as name, e.extversion as version, n.nspname::text as schema,
                   -- what pg_dump takes along of an extension's rows, and a dump of the schema alone doesn't
                   (select coalesce(pg_catalog.jsonb_agg(k order by k.table), '[]') from (
                       select cn.nspname || '.' || c.relname as table,
                              case when pg_catalog.has_table_privilege(c.oid, 'select')
                                        and pg_catalog.has_schema_privilege(cn.oid, 'usage')
                                   then (pg_catalog.xpath('/row/n/text()', pg_catalog.query_to_xml(pg_catalog.format(
                                       'select pg_catalog.count(*) as n from %I.%I %s', cn.nspname, c.relname, x.condition),
                                       false, true, '')))[1]::text::int8 end as rows
                         from rows from (pg_catalog.unnest(e.extconfig), pg_catalog.unnest(e.extcondition)) as x (relation, condition)
                         join pg_catalog.pg_class c on c.oid = x.relation and c.relkind in ('r', 'p')
                         join pg_catalog.pg_namespace cn on cn.oid = c.relnamespace) k
                     where k.rows is distinct from 0) as kept
              from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace) x),
    'languages', (
        select coalesce(pg_catalog.jsonb_agg(l.lanname order by l.lanname), '[]') from pg_catalog.pg_language l),
    'large_objects', (select pg_catalog.count(*) from pg_catalog.pg_largeobject_metadata),
    'event_triggers', (
        select coalesce(pg_catalog.jsonb_agg(x order by x.name), '[]') from (
            select t.evtname::text as name, t.evtevent::text as event, t.evtenabled as enabled, r.rolname::text as owner
              from pg_catalog.pg_event_trigger t join pg_catalog.pg_roles r on r.oid = t.evtowner
             where not exists (
                 select from pg_catalog.pg_depend d
                  where d.classid = 'pg_catalog.pg_event_trigger'::pg_catalog.regclass and d.objid = t.oid and d.deptype = 'e')) x),
    'materialized_views', (
        select pg_catalog.count(*) from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.relkind = 'm' and n.nspname <> all ($1::text[])),
    'publications', (select coalesce(pg_catalog.jsonb_agg(p.pubname order by p.pubname), '[]') from pg_catalog.pg_publication p),
    'foreign_servers', (
        select coalesce(pg_catalog.jsonb_agg(x order by x.name), '[]') from (
            select s.srvname::text as name, w.fdwname::text as wrapper
              from pg_catalog.pg_foreign_server s join pg_catalog.pg_foreign_data_wrapper w on w.oid = s.srvfdw) x),
    'triggers', (
        select coalesce(pg_catalog.jsonb_agg(x order by x.table, x.name), '[]') from (
            select n.nspname || '.' || c.relname as table, t.tgname::text as name, t.tgenabled as enabled
              from pg_catalog.pg_trigger t
              join pg_catalog.pg_class c on c.oid = t.tgrelid
              join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where t.tgenabled in ('A', 'R') and not t.tgisinternal and n.nspname <> all ($1::text[])) x),
    'functions', (
        -- functions whose power comes from a superuser, or whose code isn't in the database
        select coalesce(pg_catalog.jsonb_agg(x order by x.name), '[]') from (
            select n.nspname || '.' || p.proname as name, r.rolname::text as owner, l.lanname::text as language,
                   p.prosecdef and r.rolsuper as definer, l.lanname <> 'internal' and not l.lanpltrusted or p.prokind <> 'a' and l.lanname = 'internal' or p.proleakproof as untrusted, p.proleakproof as leakproof
              from pg_catalog.pg_proc p
              join pg_catalog.pg_namespace n on n.oid = p.pronamespace
              join pg_catalog.pg_roles r on r.oid = p.proowner
              join pg_catalog.pg_language l on l.oid = p.prolang
             where ((p.prosecdef and r.rolsuper) or l.lanname <> 'internal' and not l.lanpltrusted or p.prokind <> 'a' and l.lanname = 'internal' or p.proleakproof)
               and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and n.nspname <> all ($1::text[])
               and not exists (
                   select from pg_catalog.pg_depend d
                    where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype in ('e', 'i'))) x),
    'superuser_only', (
        -- what only a superuser can create, besides functions, and no extension has made
        select coalesce(pg_catalog.jsonb_agg(x order by x.kind, x.name), '[]') from (
            select o.kind, coalesce(n.nspname || '.', '') || o.name as name
              from (select 'operator class' as kind, 'pg_catalog.pg_opclass'::pg_catalog.regclass as class, oid, opcname::text as name, opcnamespace as namespace from pg_catalog.pg_opclass
                    union all select 'operator family', 'pg_catalog.pg_opfamily'::pg_catalog.regclass, oid, opfname, opfnamespace from pg_catalog.pg_opfamily
                    union all select 'base type', 'pg_catalog.pg_type'::pg_catalog.regclass, oid, typname, typnamespace from pg_catalog.pg_type
                               where typtype = 'b' and typcategory <> 'A'
                    union all select 'cast', 'pg_catalog.pg_cast'::pg_catalog.regclass, oid, pg_catalog.format_type(castsource, null) || ' as ' || pg_catalog.format_type(casttarget, null), 0
                                from pg_catalog.pg_cast where castmethod = 'b' and oid >= 16384
                    union all select 'text search parser', 'pg_catalog.pg_ts_parser'::pg_catalog.regclass, oid, prsname, prsnamespace from pg_catalog.pg_ts_parser
                    union all select 'text search template', 'pg_catalog.pg_ts_template'::pg_catalog.regclass, oid, tmplname, tmplnamespace from pg_catalog.pg_ts_template
                    union all select 'access method', 'pg_catalog.pg_am'::pg_catalog.regclass, oid, amname, 0 from pg_catalog.pg_am where oid >= 16384
                    union all select 'foreign-data wrapper', 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass, oid, fdwname, 0 from pg_catalog.pg_foreign_data_wrapper) o
              left join pg_catalog.pg_namespace n on n.oid = o.namespace
             where (o.namespace = 0 or n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and n.nspname <> all ($1::text[]))
               and not exists (
                   select from pg_catalog.pg_depend d where d.classid = o.class and d.objid = o.oid and d.deptype = 'e')) x),
    'collations', (
        -- collations with a version that differs from the one the library has now
        select coalesce(pg_catalog.jsonb_agg(c.collname order by c.collname), '[]')
          from pg_catalog.pg_collation c
         where c.collversion is distinct from pg_catalog.pg_collation_actual_version(c.oid) and c.collversion is not null),
    -- by the catalogs: to_regclass fails in a schema without USAGE
    'home_schema', (select n.oid is not null from (select 1) one left join pg_catalog.pg_namespace n on n.nspname = 'changeover'),
    'home', (
        select pg_catalog.jsonb_build_object(
                   'readable', pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'select'))
          from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'changeover' and c.relname = 'migration'),
    'pglogical_nodes', (
        select pg_catalog.jsonb_build_object(
                   'readable', pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'select'))
          from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'pglogical' and c.relname = 'node'),
    -- What the two logins need of a pglogical that is there already, and haven't got; the login can give what it has with grant option.
    'pglogical_denied', (
        select coalesce(pg_catalog.jsonb_agg(d.missing order by d.missing), '[]') from (
            select 'usage on schema pglogical to ' || pg_catalog.quote_ident(l.name)
              from pg_catalog.pg_namespace n
             cross join lateral (values (current_user::text, false), ($3::text, pg_catalog.has_schema_privilege(n.oid, 'usage with grant option')))
                   l (name, given)
             where n.nspname = 'pglogical' and not l.given and exists (select from pg_catalog.pg_roles r where r.rolname::text = l.name)
               and not pg_catalog.has_schema_privilege(l.name, n.oid, 'usage')
            union all
            select distinct 'select on all tables in schema pglogical to ' || pg_catalog.quote_ident(current_user::text)
              from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where n.nspname = 'pglogical' and c.relkind in ('r', 'v') and not pg_catalog.has_table_privilege(c.oid, 'select')
            union all
            select 'select on pglogical.tables to ' || pg_catalog.quote_ident($3::text)
              from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where n.nspname = 'pglogical' and c.relname = 'tables' and exists (select from pg_catalog.pg_roles r where r.rolname::text = $3)
               and not pg_catalog.has_table_privilege(c.oid, 'select with grant option')
               and not pg_catalog.has_table_privilege($3::text, c.oid, 'select')
            union all
            select distinct 'execute on all functions in schema pglogical to ' || pg_catalog.quote_ident(current_user::text)
              from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
             where n.nspname = 'pglogical' and not pg_catalog.has_function_privilege(p.oid, 'execute')
               -- what Changeover calls
               and p.proname in ('create_node', 'drop_node', 'create_replication_set', 'drop_replication_set', 'replication_set_add_table',
                                 'create_subscription', 'drop_subscription', 'alter_subscription_enable', 'alter_subscription_disable',
                                 'show_subscription_status', 'pglogical_gen_slot_name')
        ) d (missing)),
    'escalation', case when $2::text = '' then null else (
        select pg_catalog.jsonb_build_object(
                   'exists', pg_catalog.count(*) > 0,
                   'executable', coalesce(pg_catalog.bool_or(
                       pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_function_privilege(p.oid, 'execute')), false))
          from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
         where n.nspname = pg_catalog.split_part($2, '.', 1) and p.proname = pg_catalog.split_part($2, '.', 2)
           and p.proargtypes = '25 25'::pg_catalog.oidvector) end
)
