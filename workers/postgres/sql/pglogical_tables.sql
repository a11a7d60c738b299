-- The permanent tables of an application, and whether pglogical can carry their updates and deletes.
-- $1 name of the schema with the escalation function, or ''. Needs: nothing. Locks: none. PostgreSQL 9.6 and later.
-- Partition leaves are tables like others; parents hold no rows. Members of extensions belong to the extension.
-- An identity is what the server itself takes (relcache.c, RelationGetIndexList): a valid primary key that is checked at
-- once, or the index of REPLICA IDENTITY USING INDEX; FULL and NOTHING are none for pglogical.
select c.oid,
       n.nspname::text as schema,
       c.relname::text as name,
       c.relpersistence = 'u' as unlogged,
       exists (select from pg_catalog.pg_index i
                where i.indrelid = c.oid and i.indisvalid and i.indimmediate
                  and case c.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident else false end) as keyed,
       exists (select from pg_catalog.pg_attribute a
                where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated <> '') as generated
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'r'
   and c.relpersistence <> 't'
   and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'pglogical', $1)
   and (n.nspname <> 'changeover' or c.relname in ('marker', 'canary'))
   and not exists (select from pg_catalog.pg_depend d
                    where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')
 order by 2, 3
