//! Which faults at which places, made from what the product tells of itself.

use crate::{
    fault::{Fault, Injection},
    known::{Known, Pair, SOAK, WATCH},
    run::{Run, TO_THE_END},
};

/// Faults that the harness does to servers, links and sessions.
const OUTSIDE: [Fault; 19] = [
    Fault::Source,
    Fault::Target,
    Fault::Pooler,
    Fault::Temporal,
    Fault::Sessions,
    Fault::CutSource,
    Fault::CutTarget,
    Fault::CutPeer,
    Fault::ResetSource,
    Fault::ResetTarget,
    Fault::ResetPeer,
    Fault::SlowSource,
    Fault::SlowTarget,
    Fault::SlowPeer,
    Fault::Lock,
    Fault::Password,
    Fault::SilentSource,
    Fault::SilentTarget,
    Fault::SilentPeer,
];

/// What the worker alone suffers, on which side of an activity.
const OF_THE_WORKER: [(Fault, &str); 8] = [
    (Fault::Error, "before"),
    (Fault::Lost, "after"),
    (Fault::Refuse, "before"),
    (Fault::Refuse, "after"),
    (Fault::Kill, "before"),
    (Fault::Kill, "after"),
    (Fault::Freeze, "before"),
    (Fault::Freeze, "after"),
];

/// Faults that one side or the other doesn't live through, so that a person is needed.
const GONE: [Fault; 2] = [Fault::GoneSource, Fault::GoneTarget];

/// Stage of the injections that happen while a migration is undone.
pub const ABORT: &str = "abort";

fn of(known: &Known, pair: &Pair, side: &str, fault: Fault) -> Injection {
    let injection = Injection::new(&pair.stage, format!("activity.{}.{side}", pair.activity), fault);
    let alike = || known.pairs.iter().filter(|other| other.activity == pair.activity);
    let main = known.pairs.iter().find(|other| other.stage == pair.stage);
    Injection {
        late: alike().next().is_some_and(|first| first.stage != pair.stage),
        sometimes: pair.activity.contains(WATCH) || alike().count() > 1 && main != Some(pair),
        ..injection
    }
}

fn undo(word: &str, side: &str, fault: Fault) -> Injection {
    Injection::new(ABORT, format!("activity.undo.{word}.{side}"), fault)
}

/// The first activity of each stage.
fn main_pairs(known: &Known) -> impl Iterator<Item = &Pair> {
    known.stages.iter().filter_map(|stage| known.pairs.iter().find(|pair| pair.stage == *stage))
}

/// One kind of fault at every activity of the way to the approval, and at every undo; where each costs the time in which Temporal
/// notices a dead worker, at every `nth` undo.
fn everywhere(known: &Known, fault: Fault, side: &str, nth: usize) -> Run {
    let mut injections: Vec<Injection> = known.pairs.iter().map(|pair| of(known, pair, side, fault)).collect();
    // One worker at a time stands still, so none may be told of a place that it may not come to.
    injections.retain(|one| !fault.stands_still() || one.late || !one.sometimes);
    let skipped = usize::from(side == "after") * nth / 2;
    injections.extend(known.undos.iter().skip(skipped).step_by(nth).map(|word| undo(word, side, fault)));
    Run { name: format!("{} {side} everything", fault.word()), injections, to: "approval".to_owned() }
}

/// Every how many undos a fault of the worker is tried at.
fn nth(fault: Fault) -> usize {
    match fault {
        Fault::Kill => 2,
        Fault::Freeze => 4,
        _ => 1,
    }
}

/// One kind of fault within every activity that has places there.
fn within(known: &Known, fault: Fault) -> Run {
    let mut injections = Vec::new();
    for step in &known.steps {
        let stage = known.stage_of(step).unwrap_or(ABORT);
        injections.push(Injection::new(stage, format!("{}.after", step.name), fault));
    }
    // In the order in which the run comes there; what undoes is last.
    injections.sort_by_key(|one| known.stages.iter().position(|stage| *stage == one.stage).unwrap_or(usize::MAX));
    Run { name: format!("{} within everything", fault.word()), injections, to: "approval".to_owned() }
}

/// All places at which an activity can be refused, so that a half-done stage is undone.
fn refusals(known: &Known) -> Vec<Injection> {
    let mut all = Vec::new();
    // A watch that is refused stops nothing: it is a warning.
    for pair in known.pairs.iter().filter(|pair| !pair.activity.contains(WATCH)) {
        all.extend(["before", "after"].map(|side| of(known, pair, side, Fault::Abort)));
    }
    for step in &known.steps {
        if let Some(stage) = known.stage_of(step) {
            all.push(Injection::new(stage, format!("{}.after", step.name), Fault::Abort));
            // Between two databases, or two of whatever it is.
            if MANY.contains(&step.name.as_str()) {
                let twice = Injection::new(stage, format!("{}.after", step.name), Fault::Abort);
                all.push(Injection { at: 2, ..twice });
            }
        }
    }
    all
}

/// Steps that come more than once on two databases.
const MANY: [&str; 6] =
    ["home.database", "schema.database", "guard.database", "engine.node", "engine.sets", "finish.database"];

/// Refused there, aborted, undone; and while it is undone something happens, in turns.
fn refused(known: &Known, index: usize, injection: Injection) -> Run {
    let name = format!("refused at {injection}");
    let mut injections = vec![injection];
    let side = if index.is_multiple_of(2) { "before" } else { "after" };
    match index % 3 {
        // Those that every stage has, last of all.
        0 => injections.push(undo("remove_home.target", side, Fault::Refuse)),
        1 => injections.push(undo("remove_home.source", "after", Fault::Lost)),
        _ => {}
    }
    // A refusal by preflight leaves nothing to undo.
    if injections[0].stage == known.stages[0] {
        injections.truncate(1);
    }
    let to = injections[0].stage.clone();
    Run { name, injections, to }
}

/// A fault of servers or links in each stage, and in three undos.
fn outside(known: &Known, fault: Fault, side: &str) -> Run {
    let mut injections: Vec<Injection> = main_pairs(known).map(|pair| of(known, pair, side, fault)).collect();
    if fault == Fault::Password {
        // Once in a run: it is changed back at its end.
        injections.truncate(3);
        injections.drain(..2);
    } else {
        let some = ["remove_replication.forward", "empty_target", "remove_home.target"];
        injections.extend(some.map(|word| undo(word, side, fault)));
    }
    Run { name: format!("{} {side} every stage", fault.word()), injections, to: "approval".to_owned() }
}

/// Another fault in each stage, so that each is seen once.
fn mixed(known: &Known) -> Run {
    let faults = [
        Fault::Source,
        Fault::CutTarget,
        Fault::Sessions,
        Fault::Temporal,
        Fault::Lock,
        Fault::CutPeer,
        Fault::Target,
        Fault::CutSource,
        Fault::Pooler,
    ];
    let injections = main_pairs(known).zip(faults).map(|(pair, fault)| of(known, pair, "before", fault)).collect();
    Run { name: "another fault in each stage".to_owned(), injections, to: "approval".to_owned() }
}

/// Each of the worker's ends once.
fn workers(known: &Known) -> Run {
    let at = |stage: &str, place: &str, fault| {
        known.stages.iter().any(|s| s == stage).then(|| Injection::new(stage, place, fault))
    };
    let all = [
        at("roles", "roles.open.after", Fault::Kill),
        at("schema", "schema.open.after", Fault::Freeze),
        at("copy", "engine.subscription.after", Fault::Kill),
        Some(Injection::new(ABORT, "remove.subscription.after", Fault::Kill)),
    ];
    Run {
        name: "workers die within activities".to_owned(),
        injections: all.into_iter().flatten().collect(),
        to: "approval".to_owned(),
    }
}

/// All runs.
pub fn full(known: &Known) -> Vec<Run> {
    let mut runs: Vec<Run> =
        OF_THE_WORKER.iter().map(|(fault, side)| everywhere(known, *fault, side, nth(*fault))).collect();
    runs.extend(refusals(known).into_iter().enumerate().map(|(index, one)| refused(known, index, one)));
    runs.extend(gone(known));
    runs.extend(OUTSIDE.map(|fault| outside(known, fault, "before")));
    runs.extend([Fault::Lost, Fault::Kill].map(|fault| within(known, fault)));
    let not_twice = |(fault, side): &&(Fault, &str)| *side == "before" || [Fault::Lost, Fault::Kill].contains(fault);
    runs.extend(OF_THE_WORKER.iter().filter(not_twice).map(|(fault, side)| to_the_end(known, *fault, side)));
    for fault in [Fault::Source, Fault::Target, Fault::Temporal, Fault::Sessions] {
        runs.push(to_the_end(known, fault, "before"));
    }
    runs.extend(late(known));
    runs.extend(OUTSIDE.map(|fault| outside(known, fault, "after")));
    runs.push(within(known, Fault::Freeze));
    runs.push(mixed(known));
    runs.extend(slots_lost(known));
    runs.push(one(way_back_lost()));
    runs.extend([Fault::FullSource, Fault::FullTarget].map(|fault| outside(known, fault, "before")));
    runs
}

/// Slots that are lost when there is something in them: nothing is left but to abort, and to begin anew.
fn slots_lost(known: &Known) -> Vec<Run> {
    let copy = known.stages.iter().position(|stage| stage == "copy").unwrap_or_default();
    let after = main_pairs(known).filter(|pair| known.stages.iter().position(|s| *s == pair.stage) > Some(copy));
    after.map(|pair| one(of(known, pair, "before", Fault::SlotsLost))).collect()
}

fn way_back_lost() -> Injection {
    let soak = Injection::new("soak", "activity.look_at_links.reverse.before", Fault::WayBackLost);
    Injection { late: true, ..soak }
}

/// A worker that wakes up when everything has been undone.
fn late(known: &Known) -> Vec<Run> {
    main_pairs(known)
        .map(|pair| {
            let injection = of(known, pair, "before", Fault::FreezeToTheEnd);
            Run {
                name: format!("woken after the end, from {}", pair.stage),
                to: pair.stage.clone(),
                injections: vec![injection],
            }
        })
        .collect()
}

/// A side that can't be reached while something is undone on it: remembered, and undone when it is back.
fn gone(known: &Known) -> Vec<Run> {
    let words =
        known.undos.iter().filter(|word| ["remove_replication.forward", "remove_engine"].contains(&word.as_str()));
    let all = words.flat_map(|word| GONE.map(|fault| undo(word, "before", fault)));
    all.map(|one| Run { name: format!("{one}"), injections: vec![one], to: "approval".to_owned() }).collect()
}

/// One kind of fault at every activity of the soak and at every step of finalize.
fn to_the_end(known: &Known, fault: Fault, side: &str) -> Run {
    let soak = SOAK.map(|(activity, late)| {
        let injection = Injection::new("soak", format!("activity.{activity}.{side}"), fault);
        Injection { late, ..injection }
    });
    let finalize =
        known.finalize.iter().map(|step| Injection::new(TO_THE_END, format!("activity.finalize.{step}.{side}"), fault));
    let injections = soak.into_iter().chain(finalize).collect();
    Run { name: format!("{} {side} all of soak and finalize", fault.word()), injections, to: TO_THE_END.to_owned() }
}

/// What every change is tried with: each activity and each undo run twice, workers that die within, stages refused and undone. The
/// long ones first, so that the labs end together.
pub fn bounded(known: &Known) -> Vec<Run> {
    let mut runs = vec![everywhere(known, Fault::Lost, "after", 1), workers(known)];
    let all = refusals(known);
    for (index, stage) in known.stages.iter().enumerate().filter(|(index, _)| index % 4 == 3) {
        let of_stage: Vec<&Injection> = all.iter().filter(|one| one.stage == *stage).collect();
        if let Some(one) = of_stage.get((index * 2 + 1) % of_stage.len().max(1)) {
            runs.push(refused(known, index, (*one).clone()));
        }
    }
    runs.extend(slots_lost(known).into_iter().filter(|run| run.to == "verify"));
    runs.push(mixed(known));
    // Last: the stack has had its day then.
    runs.push(to_the_end(known, Fault::Lost, "after"));
    runs
}

/// Each fault whose name contains `part`, in a run of its own.
pub fn alone(known: &Known, part: &str) -> Vec<Run> {
    let all = full(known).into_iter().flat_map(|run| run.injections);
    let mut runs: Vec<Run> = Vec::new();
    for injection in all.filter(|injection| injection.to_string().contains(part)) {
        if runs.iter().all(|run| run.name != injection.to_string()) {
            runs.push(one(injection));
        }
    }
    runs
}

/// One fault, in a run of its own.
pub fn one(injection: Injection) -> Run {
    let to = match &*injection.stage {
        ABORT => "approval".to_owned(),
        "soak" => TO_THE_END.to_owned(),
        stage => stage.to_owned(),
    };
    Run { name: injection.to_string(), injections: vec![injection], to }
}
