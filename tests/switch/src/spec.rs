//! The spec of a lab: the harness's, with the secrets in files, so that this process and its children read the same one.

use anyhow::{Context, Result, anyhow};
use changeover_domain::{proto::Spec, spec};
use changeover_tests::{
    product::{SpecOptions, spec_text, variable},
    sample, scenario,
    stack::{SAMPLE_LOGINS, StackInfo},
};
use std::path::{Path, PathBuf};

/// Writes spec and secrets below `directory`; returns the spec's path and the spec as the product reads it.
pub(crate) fn write(
    info: &StackInfo,
    directory: &Path,
    line: &str,
    edit: impl Fn(String) -> String,
) -> Result<(PathBuf, Spec)> {
    let databases = sample::DATABASES.iter().map(|database| {
        let append_only = sample::append_only(database).iter().map(|table| (*table).to_owned()).collect();
        ((*database).to_owned(), append_only)
    });
    let options = SpecOptions {
        name: "lab".to_owned(),
        databases: databases.collect(),
        passwords: SAMPLE_LOGINS.map(|role| (role.to_owned(), variable(&scenario::password_variable(role)))).to_vec(),
        replication_password: variable("CHANGEOVER_REPLICATION_PASSWORD"),
        pooler_password: variable("CHANGEOVER_POOLER_PASSWORD"),
        pooler: true,
        soak: "1h".to_owned(),
    };
    let mut text = edit(format!("{line}\n{}", spec_text(info, &options)));
    let secrets = directory.join("secrets");
    std::fs::create_dir_all(&secrets).with_context(|| format!("creating {}", secrets.display()))?;
    for (variable, value) in info.environment().into_iter().chain(scenario::password_variables()) {
        let reference = format!("{{ env = \"{variable}\" }}");
        if text.contains(&reference) {
            let path = secrets.join(&variable);
            write_private(&path, &value)?;
            text = text.replace(&reference, &format!("{{ file = \"{}\" }}", path.display()));
        }
    }
    let path = directory.join("lab.toml");
    std::fs::write(&path, &text).with_context(|| format!("writing {}", path.display()))?;
    Ok((path.clone(), read(&path)?))
}

/// The text with the worker's way to each server through a proxy; the servers and the pooler keep theirs.
pub(crate) fn through_proxies(info: &StackInfo, text: String, ports: &[u16]) -> String {
    [&info.source, &info.target].into_iter().zip(ports).fold(text, |text, (cluster, port)| {
        let way = format!("port = {}\nuser", cluster.port);
        text.replace(&way, &format!("port = {port}\npeer_host = \"127.0.0.1\"\npeer_port = {}\nuser", cluster.port))
    })
}

/// Reads a spec as the product does.
pub(crate) fn read(path: &Path) -> Result<Spec> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    spec::parse(&text).map_err(|errors| anyhow!("{}: {errors:?}", path.display()))
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes()).with_context(|| format!("writing {}", path.display()))
}
