-- A run of verification begins in this database: earlier runs are forgotten, and one that still goes on will find itself gone.
-- $1 run, $2 position as JSON. Locks: rows of our own.
with forgotten as (
    delete from changeover.verify_position where run <> $1
), forgotten_differences as (
    delete from changeover.verify_difference where run <> $1
)
insert into changeover.verify_position (run, state) values ($1, $2::text::jsonb)
on conflict (run) do update set state = excluded.state, at = clock_timestamp()
