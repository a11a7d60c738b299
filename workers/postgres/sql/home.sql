-- The migration's home on a database: what must survive a worker, and what must be seen by both sides.
-- Needs: CREATE on the database. Locks: none on user tables. Runs twice without harm.
create schema if not exists changeover;
revoke all on schema changeover from public;

-- The epoch. Whoever changes anything in this database locks this row first, in the same transaction, and finds the epoch he
-- believes in: a zombie attempt of an older epoch finds another one and stops.
create table if not exists changeover.migration (
    id         text primary key,
    epoch      bigint not null,
    created_at timestamptz not null default clock_timestamp()
);

-- Write-once decisions of switches; the row of an epoch is written on the side that is to open, in the control database.
create table if not exists changeover.decision (
    epoch      bigint primary key,
    outcome    text not null check (outcome in ('open', 'abort')),
    decided_at timestamptz not null default clock_timestamp()
);

-- Replicated: a row committed on one side and visible on the other proves that all before it has been applied.
create table if not exists changeover.marker (
    side  text not null,
    epoch bigint not null,
    token text not null,
    at    timestamptz not null default clock_timestamp(),
    primary key (side, epoch, token)
);

-- Replicated: one row per side that beats; its age on the other side is the age of the link.
create table if not exists changeover.canary (
    side text primary key,
    beat bigint not null,
    at   timestamptz not null default clock_timestamp()
);

-- What the fence took away, to be given back exactly: one row per privilege.
create table if not exists changeover.saved_acl (
    kind       text not null,              -- table, column, sequence
    object     oid not null,
    attnum     int2 not null default 0,
    grantor    oid not null,
    grantee    oid not null,               -- 0 = public
    privilege  text not null,
    grantable  boolean not null,
    primary key (kind, object, attnum, grantor, grantee, privilege)
);

-- Login roles that a fence or the closed target set NOLOGIN (instance-wide; kept in the control database).
create table if not exists changeover.saved_login (
    role name primary key
);

-- Triggers that fire on apply and were switched off while this side applies; state is pg_trigger.tgenabled.
create table if not exists changeover.saved_trigger (
    relation oid not null,
    trigger  name not null,
    state    "char" not null,
    primary key (relation, trigger)
);

-- Free-form notes of activities: what they made or found, so that undo touches nothing else.
create table if not exists changeover.note (
    key   text primary key,
    value jsonb not null,
    at    timestamptz not null default clock_timestamp()
);

-- How far a run of verification is (on the target): counters and the last key, which is row data and has no place elsewhere.
create table if not exists changeover.verify_position (
    run   text primary key,
    state jsonb not null,
    at    timestamptz not null default clock_timestamp()
);

-- What the source's catalog held when the schema was taken over: one row per object, see drift.sql.
create table if not exists changeover.baseline (
    object text primary key,
    hash   text not null
);

-- The differences that a run of verification has found (on the target), by key: as many as are told apart.
create table if not exists changeover.verify_difference (
    run    text not null,
    number bigint not null,
    what   text not null,
    primary key (run, number)
);

-- The DDL guard's function, run by three event triggers that are made only when they are needed. DDL is refused before it
-- begins. What may concern a temporary object only is judged when it's over, by what it made or dropped.
create or replace function changeover.refuse_ddl() returns event_trigger
    language plpgsql set search_path = pg_catalog as $$
begin
    -- our own sessions and replication's workers pass
    if current_setting('application_name') like 'changeover/%'
        or current_setting('application_name') like 'pglogical%'
        or current_setting('session_replication_role') = 'replica'
        or tg_tag = 'REFRESH MATERIALIZED VIEW' then
        return;
    end if;
    if tg_event = 'ddl_command_start' then
        if tg_tag in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE VIEW', 'CREATE SEQUENCE') then
            return;
        end if;
        if pg_my_temp_schema() <> 0
            and tg_tag in ('CREATE INDEX', 'ALTER TABLE', 'DROP TABLE', 'DROP INDEX', 'DROP VIEW', 'DROP SEQUENCE') then
            return;
        end if;
    elsif tg_event = 'ddl_command_end' then
        if not exists (select from pg_event_trigger_ddl_commands() where schema_name is distinct from 'pg_temp') then
            return;
        end if;
    elsif not exists (select from pg_event_trigger_dropped_objects() where not is_temporary) then
        return;
    end if;
    raise exception 'a migration is under way: % is refused until it ends', tg_tag
        using errcode = '55006', hint = 'See `changeover status`.';
end $$;
revoke all on function changeover.refuse_ddl() from public;
grant usage on schema changeover to public;
grant execute on function changeover.refuse_ddl() to public;
