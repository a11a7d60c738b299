//! Room for WAL and for the copy. SQL can't see free disk; what can be worked out is said, and what can't.

use super::{
    Findings, Place,
    facts::Facts,
    finding::{bytes, seconds},
};
use crate::{Side, proto::Spec};

/// What one copy stream moved per second when it was measured (755 MB in 18.3 s, indexes in place, shared machine).
const COPY_BYTES_PER_SECOND: f64 = 40e6;

/// WAL that piles up while the copy runs, against what may be kept.
pub(super) fn check(spec: &Spec, facts: &Facts, out: &mut Findings) {
    let place = Place::side(Side::Source);
    let Some(server) = &facts.source.server else { return };
    #[allow(clippy::cast_precision_loss)]
    let size: f64 = facts.databases.iter().map(|d| d.bytes.unwrap_or_default() as f64).sum();
    let copy = size / COPY_BYTES_PER_SECOND;
    let rate = server.wal_bytes / server.wal_seconds.max(1.0);
    let pile = rate * copy;
    let allowed = spec.budgets.as_ref().map_or(0, |b| b.max_retained_wal_bytes);
    #[allow(clippy::cast_precision_loss)]
    let allowed_bytes = allowed as f64;
    #[allow(clippy::cast_precision_loss)]
    let keep = facts.source.number("max_slot_wal_keep_size").map(|k| k as f64).filter(|k| *k >= 0.0);
    let estimate = format!(
        "about {} of WAL may pile up on the source during the copy ({} per second on average since the statistics began, copy of {} estimated at {} by 40 MB/s)",
        bytes(pile),
        bytes(rate),
        bytes(size),
        seconds(copy)
    );
    if let Some(keep) = keep {
        let at = place.object("max_slot_wal_keep_size");
        let remedy =
            format!("raise max_slot_wal_keep_size on the source above {}", bytes((pile * 2.0).max(allowed_bytes)));
        if keep < pile {
            out.blocker(
                "CO0315",
                &at,
                format!("{estimate}; max_slot_wal_keep_size of {} would invalidate the slot", bytes(keep)),
                remedy,
            );
        } else if keep < allowed_bytes {
            let message = format!(
                "max_slot_wal_keep_size is {}, less than max_retained_wal_bytes {}: the slot would be lost before the run parks",
                bytes(keep),
                bytes(allowed_bytes)
            );
            out.warning("CO0315", &at, message, remedy);
        }
    }
    if allowed > 0 && pile > allowed_bytes {
        let message = format!("{estimate}; max_retained_wal_bytes is {}: the run would park", bytes(allowed_bytes));
        out.warning(
            "CO0315",
            &place.object("max_retained_wal_bytes"),
            message,
            "raise budgets.max_retained_wal_bytes in the spec, if the disk has room",
        );
    }
    free_disk(&estimate, size, allowed_bytes, out);
}

fn free_disk(estimate: &str, size: f64, allowed: f64, out: &mut Findings) {
    let message =
        format!("free disk can't be seen from SQL: {estimate}; up to {} is kept before the run parks", bytes(allowed));
    out.warning(
        "CO0321",
        &Place::side(Side::Source).object("disk"),
        message,
        "check by other means that the source has that much room for pg_wal",
    );
    let message = format!(
        "free disk can't be seen from SQL: the copy takes about {}, its indexes and WAL come on top",
        bytes(size)
    );
    let remedy = format!("check by other means that the target has at least {} free", bytes(size * 2.5));
    out.warning("CO0321", &Place::side(Side::Target).object("disk"), message, remedy);
}
