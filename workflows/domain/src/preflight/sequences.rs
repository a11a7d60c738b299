//! Whether the margin fits: each switch moves every sequence ahead, so that no number is given out twice.

use super::{
    Findings, Place,
    facts::{Database, Facts, Sequence},
    finding::list,
};
use crate::{QualifiedName, Side, proto::Spec};

/// A switch, a rollback, another switch and one in reserve.
const SWITCHES: i128 = 4;

/// The sequences of a database.
pub(super) fn check(spec: &Spec, facts: &Facts, database: &Database, out: &mut Findings) {
    let place = Place::database(Side::Source, &database.name);
    let margin = i128::from(spec.budgets.as_ref().map_or(0, |b| b.sequence_margin));
    let mut hidden: Vec<&Sequence> = Vec::new();
    for sequence in database.sequences.iter().flatten() {
        if !sequence.visible {
            hidden.push(sequence);
        }
        // One that can't be read may be anywhere; the least that must fit is a fresh one's room.
        let Some(room) = room(sequence) else { continue };
        judge(sequence, room, margin, &place, out);
    }
    unseen(facts, &hidden, &place, out);
}

/// Increments that are left until the end.
fn room(sequence: &Sequence) -> Option<i128> {
    let number = |text: &str| text.parse::<i128>().ok();
    let (min, max) = (number(&sequence.min)?, number(&sequence.max)?);
    let step = number(&sequence.increment)?;
    let at = sequence.last.as_deref().map_or_else(|| number(&sequence.start), number)?;
    match step {
        0 => None,
        1.. => Some((max - at) / step),
        _ => Some((at - min) / -step),
    }
}

fn judge(sequence: &Sequence, room: i128, margin: i128, place: &Place, out: &mut Findings) {
    let at = place.object(format!("{}.{}", sequence.schema, sequence.name));
    let name = QualifiedName::new(&*sequence.schema, &*sequence.name);
    let need = margin.saturating_mul(SWITCHES);
    if room < need {
        let end = if sequence.increment.starts_with('-') { "minvalue" } else { "maxvalue" };
        let message = format!(
            "{room} numbers are left, and {SWITCHES} switches by a margin of {margin} need {need}{}",
            if sequence.cycle { "; it would begin again and give out numbers twice" } else { "" }
        );
        let remedy = format!(
            "alter sequence {name} as bigint no {end}; (and its column to bigint), or lower budgets.sequence_margin in the spec"
        );
        out.blocker("CO0342", &at, message, remedy);
    } else if sequence.cycle {
        let message = "it cycles: by its own definition it may give out numbers twice; Changeover only keeps a switch from doing so";
        out.info("CO0342", &at, message, "nothing to do");
    }
}

fn unseen(facts: &Facts, hidden: &[&Sequence], place: &Place, out: &mut Findings) {
    if hidden.is_empty() {
        return;
    }
    let names: Vec<String> = hidden.iter().map(|s| format!("{}.{}", s.schema, s.name)).collect();
    let mut owners: Vec<String> = hidden.iter().map(|s| crate::Ident::new(&*s.owner).to_string()).collect();
    owners.sort();
    owners.dedup();
    let login = facts.source.server.as_ref().map_or("", |s| s.login.name.as_str());
    let remedy = format!("to have it looked at now: grant {} to {};", owners.join(", "), crate::Ident::new(login));
    let message = format!(
        "how far {} {} are can't be seen before the login is a member of their owners",
        hidden.len(),
        if hidden.len() == 1 { "sequence" } else { "sequences" }
    );
    if facts.source.may_grant_membership() {
        out.warning(
            "CO0343",
            place,
            format!("{message} ({}); the switch's gate checks it again", list(&names)),
            remedy,
        );
    } else {
        out.blocker("CO0343", place, format!("{message} ({})", list(&names)), remedy);
    }
}
