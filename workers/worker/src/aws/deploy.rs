//! How deployments come to read the endpoint that was published: a program of the operator's, or a webhook.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    process::Stdio,
    time::Duration,
};

use changeover_domain::{Failure, Side};
use changeover_postgres::secret;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::{
    ground::Ground,
    secrets,
    webhook::{Publication, Webhook},
};

/// Longest wait for it.
pub(super) const LONGEST: Duration = Duration::from_secs(600);
/// How much of what it says becomes evidence, characters.
const LINE: usize = 200;
/// How much of what a program says is looked at, bytes.
const READ: u64 = 65_536;
/// What a program gets of the worker's own environment, which holds passwords.
const INHERITED: [&str; 2] = ["PATH", "HOME"];

/// Has it done and waits for its end; says what was said, for the audit trail. Called again for the same publication it gets the same key.
///
/// # Errors
/// CO1086 when it can't be begun, takes too long or isn't done.
pub(super) async fn run(ground: &Ground, serving: Side, endpoint: &str, version: i64) -> Result<String, Failure> {
    // Versions of a parameter that was deleted begin anew.
    let key = format!("{}-{}-{version}", ground.spec.name, ground.run);
    let publication = Publication {
        migration: &ground.spec.name,
        endpoint,
        serving: serving.word(),
        parameter: &ground.aws.publish,
        version,
        key: &key,
    };
    let (by, said) = if ground.aws.webhook.is_empty() {
        (ground.aws.deploy.as_str(), call(&ground.aws.deploy, &publication).await)
    } else {
        ("the webhook", tell(ground, &publication).await?)
    };
    said.map(|said| format!("version {version}: {by} ended with {said}")).map_err(|why| {
        let message = format!("the deployment by {by} of version {version} failed: {why}");
        let remedy = "see the log of whoever deploys; it is called again with the same key";
        Failure::transient("CO1086", message, remedy)
    })
}

/// What can't be mended by trying again is refused.
async fn tell(ground: &Ground, publication: &Publication<'_>) -> Result<Result<String, String>, Failure> {
    let token = ground.aws.webhook_token.as_ref();
    let known = secrets::known(&ground.spec, token.into_iter()).await;
    let token = token.map(|token| secret::resolve(Some(token), "aws.publish.webhook_token", &known)).transpose()?;
    Ok(Webhook::new(&ground.aws.webhook, token)?.tell(publication).await)
}

async fn call(program: &str, publication: &Publication<'_>) -> Result<String, String> {
    let mut command = Command::new(program);
    // Files and no pipes: what it leaves running may hold them open.
    let (stdout, stderr) = (tempfile()?, tempfile()?);
    command.env_clear().stdin(Stdio::null()).stdout(copy(&stdout)?).stderr(copy(&stderr)?);
    // A group of its own, so that what it has started ends with it.
    command.kill_on_drop(true).process_group(0);
    command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.env("CHANGEOVER_ENDPOINT", publication.endpoint).env("CHANGEOVER_SERVING", publication.serving);
    command.env("CHANGEOVER_PARAMETER", publication.parameter);
    command.env("CHANGEOVER_VERSION", publication.version.to_string()).env("CHANGEOVER_KEY", publication.key);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut group = Group::of(&child);
    let status = timeout(LONGEST, child.wait())
        .await
        .map_err(|_| format!("it hasn't ended within {} s", LONGEST.as_secs()))?
        .map_err(|error| error.to_string())?;
    group.leave();
    let line = said(&end_of(if status.success() { stdout } else { stderr })?, true);
    if status.success() {
        return Ok(if line.is_empty() { "0".to_owned() } else { format!("0: {line}") });
    }
    Err(format!("{status}: {line}"))
}

/// A file without a name, which is gone with its last user.
fn tempfile() -> Result<File, String> {
    tempfile::tempfile().map_err(|error| format!("what it says can't be kept: {error}"))
}

fn copy(file: &File) -> Result<File, String> {
    file.try_clone().map_err(|error| error.to_string())
}

/// The last of what was written.
fn end_of(mut file: File) -> Result<Vec<u8>, String> {
    let mut read = || {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(READ)))?;
        let mut text = Vec::new();
        (&mut file).take(READ).read_to_end(&mut text)?;
        Ok(text)
    };
    read().map_err(|error: std::io::Error| error.to_string())
}

/// A program and what it has started, ended when nobody waits for it any more: a rollback must not be overtaken by a deployment of what
/// was before it.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }
    /// It has ended by itself: what it left running is meant to run.
    fn leave(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Gone already, which is all that is wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// The last line that says something, or the first one, short and without control characters.
pub(super) fn said(output: &[u8], last: bool) -> String {
    let text = String::from_utf8_lossy(output);
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let line = if last { lines.next_back() } else { lines.next() }.unwrap_or_default();
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
        assert!(said.ends_with("ended with 0: new:5432 target shop-1-7 /p"), "{said}");
        // Cargo sets this one for the tests: it stands for what a worker's environment holds.
        assert!(deployed("echo \"<$CARGO_MANIFEST_DIR>\"").await.unwrap().ends_with("<>"));
        let failure = deployed("echo broken >&2; exit 3").await.unwrap_err();
        assert_eq!(failure.code, "CO1086");
        assert!(failure.message.contains("exit status: 3: broken"), "{}", failure.message);
        // What it leaves running isn't waited for.
        let said = timeout(Duration::from_secs(5), deployed("sleep 60 & echo going on")).await.expect("it waits");
        assert!(said.unwrap().ends_with("0: going on"));
        // What it has started ends with it when nobody waits any more.
        let directory = tempfile::tempdir().unwrap();
        let (began, ended) = (directory.path().join("began"), directory.path().join("ended"));
        let script = format!("(touch {}; sleep 1; touch {}) & wait", began.display(), ended.display());
        let waiting = deployed(&script);
        let seen = async {
            while !began.exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            said = waiting => panic!("it has ended: {said:?}"),
            () = seen => {}
        }
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(!ended.exists(), "what the program has started went on");
    }
}
