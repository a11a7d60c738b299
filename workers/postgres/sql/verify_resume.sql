-- Goes on with a run of verification under a new id, so that an attempt that only seemed dead finds itself gone.
-- $1 old id, $2 new id. Gives the position. Locks: rows of our own.
with differences as (
    update changeover.verify_difference set run = $2 where run = $1
)
update changeover.verify_position set run = $2 where run = $1 returning state::text
