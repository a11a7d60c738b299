-- Publications, event triggers, extensions.
select pg_catalog.format('publication %s', p.pubname),
       pg_catalog.format('all=%s insert=%s update=%s delete=%s truncate=%s tables=%s', p.puballtables, p.pubinsert, p.pubupdate,
           p.pubdelete, p.pubtruncate,
           (select pg_catalog.string_agg(r.prrelid::pg_catalog.regclass::text, ',' order by r.prrelid::pg_catalog.regclass::text)
              from pg_catalog.pg_publication_rel r where r.prpubid = p.oid))
  from pg_catalog.pg_publication p
union all
select pg_catalog.format('event trigger %s', evtname),
       pg_catalog.format('on %s %s enabled=%s owner=%s', evtevent, evtfoid::pg_catalog.regprocedure, evtenabled, evtowner::pg_catalog.regrole)
  from pg_catalog.pg_event_trigger
union all
select pg_catalog.format('extension %s', extname), pg_catalog.format('%s in %s', extversion, extnamespace::pg_catalog.regnamespace)
  from pg_catalog.pg_extension
