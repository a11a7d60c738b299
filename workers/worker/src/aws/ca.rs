//! By what servers of RDS are verified where the spec names no `ca_file`: Amazon's bundle, which is built in.

use std::{
    env, fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use changeover_aws::ca;
use changeover_domain::{Failure, Side, proto::Spec};

use super::ground::access;

/// The name of its file: libpq's programs read one.
const FILE: &str = "rds-ca-bundle.pem";

/// Puts the bundle's file into a spec where it has an AWS half and names none. Only in memory: the file is this machine's.
///
/// # Errors
/// CO1051 where the bundle hasn't the side's region; CO1050 where the file can't be written.
pub fn with_ca_files(spec: &mut Spec) -> Result<(), Failure> {
    let Some(aws) = spec.aws.clone() else { return Ok(()) };
    for (side, endpoint) in [(Side::Source, spec.source.as_mut()), (Side::Target, spec.target.as_mut())] {
        let Some(endpoint) = endpoint.filter(|endpoint| endpoint.ca_file.is_empty()) else { continue };
        check_region(side, &access(&aws, side).region)?;
        endpoint.ca_file = written(&directory()?)?.display().to_string();
    }
    Ok(())
}

fn check_region(side: Side, region: &str) -> Result<(), Failure> {
    if ca::covers(region) {
        return Ok(());
    }
    let message = format!("the RDS CA bundle that is built in has no authority of {region}, where the {side} is");
    let remedy = "fetch the region's bundle from AWS and name it as `ca_file` in the spec";
    Err(Failure::refused("CO1051", message, remedy))
}

/// A directory of this user's own.
fn directory() -> Result<PathBuf, Failure> {
    let given = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = given("XDG_CACHE_HOME").or_else(|| given("HOME").map(|home| home.join(".cache")));
    cache.map(|cache| cache.join("changeover").join("ca")).ok_or_else(|| {
        let message = "there is no place for the RDS CA bundle: neither HOME nor XDG_CACHE_HOME is set";
        Failure::refused("CO1050", message, "set HOME for the worker, or name a bundle of your own as `ca_file`")
    })
}

/// The bundle's file, made or mended if need be.
fn written(directory: &Path) -> Result<PathBuf, Failure> {
    let unusable = |why: String| {
        let message = format!("the RDS CA bundle can't be kept in {}: {why}", directory.display());
        Failure::refused("CO1050", message, "let the worker's user alone write there, or name a bundle as `ca_file`")
    };
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.and_then(|()| check_owner(directory)).map_err(|error| unusable(error.to_string()))?;
    let path = directory.join(FILE);
    ca::write_to(&path)?;
    Ok(path)
}

/// Whoever else could write there could say who is to be believed.
fn check_owner(directory: &Path) -> io::Result<()> {
    let seen = fs::metadata(directory)?;
    let others = seen.mode() & 0o022 != 0;
    let us = rustix::process::geteuid().as_raw();
    match seen.uid() {
        owner if owner == us && !others => Ok(()),
        _ => Err(io::Error::other("others may write there too")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use changeover_domain::proto::{Aws, AwsAccount, Endpoint};

    use super::*;

    fn spec(region: &str, ca_file: &str) -> Spec {
        let account = Some(AwsAccount { region: region.into(), ..AwsAccount::default() });
        Spec {
            source: Some(Endpoint { ca_file: ca_file.into(), ..Endpoint::default() }),
            aws: Some(Aws { source: account, ..Aws::default() }),
            ..Spec::default()
        }
    }

    #[test]
    fn what_is_given_stays_and_a_region_that_is_not_covered_is_refused() {
        let mut given = spec("mars-north-1", "/ca");
        with_ca_files(&mut given).unwrap();
        assert_eq!(given, spec("mars-north-1", "/ca"));
        let failure = with_ca_files(&mut spec("mars-north-1", "")).unwrap_err();
        assert_eq!(failure.code, "CO1051");
        assert!(failure.message.contains("mars-north-1, where the source is"), "{failure}");
        let mut without_aws = Spec { aws: None, ..spec("", "") };
        with_ca_files(&mut without_aws).unwrap();
        assert_eq!(without_aws.source.unwrap().ca_file, "");
        let mut filled = spec("eu-central-1", "");
        with_ca_files(&mut filled).unwrap();
        assert_eq!(fs::read_to_string(filled.source.unwrap().ca_file).unwrap(), ca::bundle());
    }

    #[test]
    fn the_file_is_where_nobody_else_writes() {
        let place = tempfile::tempdir().unwrap();
        let own = place.path().join("a/b");
        let file = written(&own).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), ca::bundle());
        assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(&file, "somebody else's authority").unwrap();
        assert_eq!(fs::read_to_string(written(&own).unwrap()).unwrap(), ca::bundle());
        fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).unwrap();
        let failure = written(&own).unwrap_err();
        assert!(failure.code == "CO1050" && failure.message.contains("others may write"), "{failure}");
    }
}
