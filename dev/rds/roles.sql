-- What Amazon RDS for PostgreSQL gives its customers instead of a superuser, as near as vanilla PostgreSQL 15 allows.
-- Run once per cluster by the bootstrap superuser `rdsadmin`. The caller replaces :changeover_password and
-- :replication_password by quoted literals.
create role rds_superuser nologin;
create role rds_replication nologin;
create role rds_password nologin;
grant pg_monitor, pg_signal_backend, pg_checkpoint to rds_superuser with admin option;
grant rds_replication, rds_password to rds_superuser with admin option;

-- The master user, which is the migration's login. The attribute REPLICATION stands for membership in rds_replication:
-- RDS's server reads the membership where vanilla PostgreSQL reads the attribute.
create role changeover login nosuperuser inherit createdb createrole replication password :changeover_password;
grant rds_superuser, rds_replication to changeover;

-- The login that nodes use across the network: it may replicate and nothing else.
create role changeover_repl login nosuperuser nocreatedb nocreaterole replication password :replication_password;
grant rds_replication to changeover_repl;

-- pglogical's initial copy sets session_replication_role as the login of the subscriber's node. That it works for rds_superuser
-- on RDS follows from "Setting up the pglogical extension", which asks for no other role; the page doesn't name the parameter.
grant set on parameter session_replication_role to rds_superuser;
