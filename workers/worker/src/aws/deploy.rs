//! The program of the operator's that is called after a publication: how deployments come to read the endpoint again.

use std::{process::Stdio, time::Duration};

use changeover_domain::{Failure, Side};
use tokio::{process::Command, time::timeout};

use super::ground::Ground;

/// Longest wait for it.
const LONGEST: Duration = Duration::from_secs(600);
/// How much of its last line becomes evidence, characters.
const LINE: usize = 200;
/// What it gets of the worker's own environment, which holds passwords.
const INHERITED: [&str; 2] = ["PATH", "HOME"];

/// Calls it and waits for its end; says what it said, for the audit trail. Called again for the same publication it gets the same key.
///
/// # Errors
/// CO1086 when it can't be started, takes too long or doesn't end with 0.
pub(super) async fn run(ground: &Ground, serving: Side, endpoint: &str, version: i64) -> Result<String, Failure> {
    let program = &ground.aws.deploy;
    let failed = |why: String| {
        let message = format!("the deployment by {program} of version {version} failed: {why}");
        Failure::transient("CO1086", message, "see the program's own log; it is called again with the same key")
    };
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.env("CHANGEOVER_ENDPOINT", endpoint).env("CHANGEOVER_SERVING", serving.word());
    command.env("CHANGEOVER_PARAMETER", &ground.aws.publish).env("CHANGEOVER_VERSION", version.to_string());
    command.env("CHANGEOVER_KEY", format!("{}-{version}", ground.spec.name));
    let output = timeout(LONGEST, command.output())
        .await
        .map_err(|_| failed(format!("it hasn't ended within {} s", LONGEST.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    let said = last_line(if output.status.success() { &output.stdout } else { &output.stderr });
    if output.status.success() {
        return Ok(format!(
            "version {version}: {program} ended with 0{}",
            if said.is_empty() { said } else { format!(": {said}") }
        ));
    }
    Err(failed(format!("{}: {said}", output.status)))
}

fn last_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(LINE).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use changeover_domain::{
        aws::provision::AwsFacts,
        proto::{Aws, Spec},
    };

    use super::*;

    async fn deployed(script: &str) -> Result<String, Failure> {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("deploy");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let aws = Aws { deploy: program.display().to_string(), publish: "/p".into(), ..Aws::default() };
        let spec = Spec { name: "shop".into(), aws: Some(aws), ..Spec::default() };
        run(&Ground::new(&spec, &AwsFacts::default(), "1").unwrap(), Side::Target, "new:5432", 7).await
    }

    // One test: a script that another thread's fork still holds open for writing can't be started.
    #[tokio::test]
    async fn it_is_told_what_was_published_and_its_last_line_is_evidence_and_its_failure_named() {
        let told = "$CHANGEOVER_ENDPOINT $CHANGEOVER_SERVING $CHANGEOVER_KEY $CHANGEOVER_PARAMETER";
        let said = deployed(&format!("echo first; echo {told}")).await.unwrap();
        assert!(said.ends_with("ended with 0: new:5432 target shop-7 /p"), "{said}");
        // Cargo sets this one for the tests: it stands for what a worker's environment holds.
        assert!(deployed("echo \"<$CARGO_MANIFEST_DIR>\"").await.unwrap().ends_with("<>"));
        let failure = deployed("echo broken >&2; exit 3").await.unwrap_err();
        assert_eq!(failure.code, "CO1086");
        assert!(failure.message.contains("exit status: 3: broken"), "{}", failure.message);
    }
}
