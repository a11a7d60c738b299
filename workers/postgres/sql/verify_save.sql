-- One run of verification: where it is, and the differences found since the last time, together or not at all. Changes no row
-- when another run has taken over. $1 run, $2 position as JSON, $3 number of the last difference stored, $4 the new ones.
-- Run again after an answer was lost it changes nothing. Locks: rows of our own.
with moved as (
    update changeover.verify_position set state = $2::text::jsonb, at = clock_timestamp() where run = $1 returning run
), found as (
    insert into changeover.verify_difference (run, number, what)
    select moved.run, $3::bigint + n, what from moved, unnest($4::text[]) with ordinality as f (what, n)
    on conflict (run, number) do update set what = excluded.what
)
select count(*) from moved
