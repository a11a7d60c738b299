use changeover_domain::proto::{AuditEvent, DatabaseFacts, Finding, History, PreflightReport, Severity};
use rstest::rstest;

use super::{list::Row, samples};
use crate::{client::Listed, ui::Paint};

#[rstest]
#[case::copying("copying", samples::copying())]
#[case::waiting("waiting", samples::waiting())]
#[case::parked("parked", samples::parked())]
#[case::soaking("soaking", samples::soaking())]
#[case::finished("finished", samples::finished())]
fn status_as_text(#[case] name: &str, #[case] status: changeover_domain::proto::Status) {
    insta::assert_snapshot!(format!("status_{name}"), super::status::status(&status, Paint(false)));
}

#[test]
fn colours_change_nothing_but_colours() {
    let plain = super::status::status(&samples::parked(), Paint(false));
    let coloured = super::status::status(&samples::parked(), Paint(true));
    assert_ne!(plain, coloured);
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
}

fn report() -> PreflightReport {
    let finding = |code: &str, severity: Severity, object: &str, message: &str, remedy: &str| Finding {
        code: code.into(),
        severity: severity.into(),
        side: "source".into(),
        database: "shop".into(),
        object: object.into(),
        message: message.into(),
        remedy: remedy.into(),
    };
    PreflightReport {
        findings: vec![
            finding("CO0330", Severity::Info, "", "2 unlogged tables stay behind", ""),
            finding("CO0321", Severity::Warning, "audit.log", "has no key: only its inserts are replicated", ""),
            finding("CO0301", Severity::Blocker, "", "wal_level is replica", "set wal_level = logical and restart"),
        ],
        databases: vec![DatabaseFacts {
            name: "shop".into(),
            bytes: 200_000_000,
            tables: 17,
            rows_estimated: 1_000_000,
            sequences: 9,
        }],
        source_version: 150_008,
        target_version: 90_624,
        engine: "pglogical".into(),
    }
}

#[test]
fn preflight_as_text() {
    insta::assert_snapshot!(super::preflight::preflight(&report(), Paint(false)));
    let clean = PreflightReport { findings: Vec::new(), ..report() };
    assert!(super::preflight::preflight(&clean, Paint(false)).ends_with("nothing stands in the way\n"));
}

#[test]
fn plan_as_text() {
    let spec = changeover_domain::spec::parse(&changeover_domain::spec::render::init_text()).unwrap();
    let plan = super::plan::plan_of(&spec, PreflightReport { findings: Vec::new(), ..report() });
    assert_eq!((plan.fence, plan.fence_pause_us), ("lock", 2_080));
    let hash = plan.plan_hash[..12].to_owned();
    insta::assert_snapshot!(super::plan::plan(&plan, &spec, Paint(false)).replace(&hash, "<hash>"));
}

#[test]
fn history_as_text() {
    let event = |number, actor: &str, event: &str, stage: &str, detail: &str| AuditEvent {
        number,
        at: "2026-11-23T08:00:00.123Z".into(),
        actor: actor.into(),
        event: event.into(),
        stage: stage.into(),
        detail: detail.into(),
    };
    let history = History {
        events: vec![
            event(1, "changeover", "stage_started", "preflight", "reads both sides"),
            event(2, "ada", "approved", "approval", "cutover for epoch 0: checked"),
        ],
    };
    insta::assert_snapshot!(super::history::history(&history, Paint(false)));
}

#[test]
fn list_as_text() {
    let row = |name: &str, state: Option<&str>| Row {
        listed: Listed {
            migration: name.into(),
            workflow: "running".into(),
            started_at: "2026-11-23T08:00:00.123Z".into(),
            ended_at: String::new(),
            run_id: "r".into(),
        },
        state: state.map(Into::into),
        stage: state.map(|_| "copy".into()),
        serving: state.map(|_| "source".into()),
    };
    insta::assert_snapshot!(super::list::list(&[row("shop", Some("running")), row("billing", None)]));
    assert_eq!(super::list::list(&[]), "no migrations\n");
}
