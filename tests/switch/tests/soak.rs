//! A bounded soak test: twelve switches of a fixed seed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

#[test]
fn twelve_switches_with_random_faults_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_changeover-soak-test"))
        .args(["switch", "--seed", "4", "--count", "12", "--check-every", "6", "--json", "--directory"])
        .arg(directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let totals: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |key: &str| totals[key].as_u64().unwrap();
    assert_eq!((number("switches"), number("lost"), number("doubled"), number("else_wrong")), (12, 0, 0, 0), "{said}");
    assert!(number("acknowledged") > 100 && number("random_strikes") > 0, "{said}");
    assert!(totals["all"]["failed"] == 0 && totals["all"]["open"].as_u64().unwrap() > 0, "{said}");
}
