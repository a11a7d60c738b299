-- What the configuration files say, and what the server does with it.
select pg_catalog.format('%s', name), pg_catalog.format('%s%s', setting, case when pending_restart then ' (pending restart)' end)
  from pg_catalog.pg_settings
 where source in ('configuration file', 'command line', 'global', 'environment variable')
union all
select pg_catalog.format('%s in %s', name, pg_catalog.regexp_replace(sourcefile, '^.*/', '')), setting
  from pg_catalog.pg_file_settings
 where sourcefile like '%auto.conf'
