-- What the restore has to know of the source and its dump doesn't say. Changes nothing.
with own as (
    select oid from pg_catalog.pg_roles
     where not rolsuper and rolname !~ '^(pg_|rds_)' and rolname not in ('rdsadmin', 'rdsrepladmin', 'rdstopmgr')
), place as (
    select oid, nspname from pg_catalog.pg_namespace
     where nspname !~ '^pg_' and nspname not in ('information_schema', 'changeover', 'pglogical')
), owned(namespace, owner) as (
    select relnamespace, relowner from pg_catalog.pg_class where relkind in ('r', 'p', 'v', 'm', 'S', 'f')
    union select pronamespace, proowner from pg_catalog.pg_proc
    union select typnamespace, typowner from pg_catalog.pg_type
    union select oprnamespace, oprowner from pg_catalog.pg_operator
    union select opcnamespace, opcowner from pg_catalog.pg_opclass
    union select opfnamespace, opfowner from pg_catalog.pg_opfamily
    union select collnamespace, collowner from pg_catalog.pg_collation
    union select connamespace, conowner from pg_catalog.pg_conversion
    union select dictnamespace, dictowner from pg_catalog.pg_ts_dict
    union select cfgnamespace, cfgowner from pg_catalog.pg_ts_config
    union select stxnamespace, stxowner from pg_catalog.pg_statistic_ext
)
select pg_catalog.jsonb_build_object(
    -- indexes and constraints that replication needs before the first change is applied: keys and replica identities
    'keys', (
        select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
            'index', i.indexrelid::int8, 'constraint', c.oid::int8, 'schema', n.nspname, 'name', x.relname,
            'parent', h.inhparent::int8)), '[]')
          from pg_catalog.pg_index i
          join pg_catalog.pg_class x on x.oid = i.indexrelid
          join pg_catalog.pg_namespace n on n.oid = x.relnamespace
          left join pg_catalog.pg_inherits h on h.inhrelid = i.indexrelid
          left join pg_catalog.pg_constraint c on c.conindid = i.indexrelid and c.contype in ('p', 'u', 'x') and c.conrelid = i.indrelid
         where x.relnamespace in (select oid from place) and (i.indisprimary or i.indisreplident)),
    -- (schema, owner of something in it): the owner needs CREATE there while the restore gives him his objects
    'owners', (
        select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(p.nspname, r.rolname) order by p.nspname, r.rolname), '[]')
          from owned o join place p on p.oid = o.namespace join pg_catalog.pg_roles r on r.oid = o.owner
         where o.owner in (select oid from own)),
    'extensions', (
        select coalesce(pg_catalog.jsonb_object_agg(e.extname, pg_catalog.jsonb_build_object(
            'version', e.extversion, 'owner', case when e.extowner in (select oid from own) then r.rolname end)), '{}')
          from pg_catalog.pg_extension e join pg_catalog.pg_roles r on r.oid = e.extowner),
    -- (schema, name) of what belongs to an extension that a superuser has made, as a dump's rights on it name it: he alone may
    -- give rights on it. Of a function the name up to its arguments.
    'members', (
        select coalesce(pg_catalog.jsonb_agg(distinct pg_catalog.jsonb_build_array(p.nspname, m.tag)), '[]')
          from pg_catalog.pg_depend d
          join pg_catalog.pg_extension e on e.oid = d.refobjid and e.extowner not in (select oid from own)
          join lateral (
              select c.relnamespace as namespace,
                     case c.relkind when 'S' then 'SEQUENCE ' when 'f' then 'FOREIGN TABLE ' else 'TABLE ' end || c.relname as tag
                from pg_catalog.pg_class c where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and c.oid = d.objid
              union all
              select f.pronamespace, case f.prokind when 'p' then 'PROCEDURE ' when 'a' then 'AGGREGATE ' else 'FUNCTION ' end || f.proname || '('
                from pg_catalog.pg_proc f where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and f.oid = d.objid
              union all
              select t.typnamespace, 'TYPE ' || t.typname
                from pg_catalog.pg_type t where d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and t.oid = d.objid
          ) m on true
          join place p on p.oid = m.namespace
         where d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.deptype = 'e'),
    'invalid_indexes', (
        select coalesce(pg_catalog.jsonb_agg(n.nspname || '.' || x.relname order by 1), '[]')
          from pg_catalog.pg_index i
          join pg_catalog.pg_class x on x.oid = i.indexrelid and x.relkind = 'i'
          join pg_catalog.pg_namespace n on n.oid = x.relnamespace
         where not i.indisvalid and x.relnamespace in (select oid from place)),
    'populated', (
        select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(p.nspname, c.relname) order by p.nspname, c.relname), '[]')
          from pg_catalog.pg_class c join place p on p.oid = c.relnamespace
         where c.relkind = 'm' and c.relispopulated),
    -- a partition's copies of its parent's triggers whose state is another than the parent's: a dump may name them before the
    -- trigger is made. (The column exists from version 13 on.)
    'clones', (
        select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('schema', p.nspname, 'table', c.relname, 'name', t.tgname, 'state', t.tgenabled::text)
                    order by p.nspname, c.relname, t.tgname), '[]')
          from pg_catalog.pg_trigger t
          join pg_catalog.pg_trigger u on u.oid = (pg_catalog.to_jsonb(t) ->> 'tgparentid')::oid
          join pg_catalog.pg_class c on c.oid = t.tgrelid
          join place p on p.oid = c.relnamespace
         where not u.tgisinternal and t.tgenabled <> u.tgenabled),
    -- multirange types and their owners, which a dump doesn't name: before version 17 they don't follow the range type's owner.
    -- (The column exists from version 14 on.)
    'multiranges', (
        select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('schema', p.nspname, 'name', t.typname, 'owner', o.rolname)
                    order by p.nspname, t.typname), '[]')
          from pg_catalog.pg_range g
          join pg_catalog.pg_type t on t.oid = (pg_catalog.to_jsonb(g) ->> 'rngmultitypid')::oid
          join place p on p.oid = t.typnamespace
          join pg_catalog.pg_roles o on o.oid = t.typowner and o.oid in (select oid from own)),
    -- on a server upgraded from before version 15 the schema public belongs to a superuser; to nobody, it can be given on the target
    'public_owner_stays', exists (
        select from pg_catalog.pg_namespace n join pg_catalog.pg_roles r on r.oid = n.nspowner
         where n.nspname = 'public' and r.oid not in (select oid from own) and r.rolname <> 'pg_database_owner'),
    'has_public', exists (select from pg_catalog.pg_namespace where nspname = 'public')
);
