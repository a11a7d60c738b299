//! Amazon's RDS CA bundle, by which connections to RDS are verified in full. Where it comes from: `workers/aws/ca/README.md`.

use std::{
    fs, io,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use changeover_domain::Failure;

/// The certificates, as PEM.
const BUNDLE: &str = include_str!("../ca/rds-global-bundle.pem");

/// The bundle that is built in.
pub fn bundle() -> &'static str {
    BUNDLE
}

/// Whether the bundle has an authority of a region. Those of China and of GovCloud, and of the newest regions, it hasn't.
pub fn covers(region: &str) -> bool {
    BUNDLE.contains(&format!("# Amazon RDS {region} Root CA "))
}

/// Writes the bundle to a file, whole or not at all: what reads the file meanwhile sees the old one or the new one. One that says the same
/// already isn't touched. CO1050 where it can't be written.
pub fn write_to(path: &Path) -> Result<(), Failure> {
    if fs::read(path).is_ok_and(|there| there == BUNDLE.as_bytes()) {
        return Ok(());
    }
    replace(path).map_err(|error| {
        Failure::refused(
            "CO1050",
            format!("the RDS CA bundle can't be written to {}: {error}", path.display()),
            "make the directory and let the worker's user write there, or name a bundle of your own as `ca_file`",
        )
    })
}

fn replace(path: &Path) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    // Whoever writes at once, in this process or another one, doesn't write into each other's.
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let beside = path.with_file_name(format!(".{}.{}.{number}", name.to_string_lossy(), std::process::id()));
    fs::write(&beside, BUNDLE)?;
    fs::rename(&beside, path).inspect_err(|_| {
        // What failed is told by the renaming; the rest is left to whoever looks there.
        let _ = fs::remove_file(&beside);
    })
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Barrier,
        time::{SystemTime, UNIX_EPOCH},
    };

    use rustls::{
        RootCertStore,
        pki_types::{CertificateDer, pem::PemObject as _},
    };
    use sha2::{Digest as _, Sha256};

    use super::*;

    const REFRESH: &str = "run dev/refresh-rds-ca.sh where AWS can be reached";

    fn certificates() -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(BUNDLE.as_bytes()).map(Result::unwrap).collect()
    }

    #[test]
    fn the_bundle_is_the_one_that_was_summed() {
        let sum: String = Sha256::digest(BUNDLE.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let noted = include_str!("../ca/rds-global-bundle.pem.sha256");
        assert_eq!(noted.split_whitespace().next(), Some(sum.as_str()), "{REFRESH}");
    }

    #[test]
    fn every_certificate_is_one_that_tls_takes() {
        let mut roots = RootCertStore::empty();
        for certificate in certificates() {
            roots.add(certificate).unwrap();
        }
        assert_eq!(roots.len(), BUNDLE.matches("# Amazon RDS ").count());
        assert!(roots.len() > 80, "{} certificates: {REFRESH}", roots.len());
    }

    #[test]
    fn no_certificate_has_expired() {
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
        for certificate in certificates() {
            let (_, read) = x509_parser::parse_x509_certificate(&certificate).unwrap();
            let (name, end) = (read.subject(), read.validity().not_after);
            assert!(end.timestamp() > now, "{name} ended at {end}: {REFRESH}");
            assert!(read.is_ca(), "{name} isn't an authority");
        }
    }

    #[test]
    fn each_region_of_the_bundle_has_its_authorities() {
        assert!(["eu-central-1", "us-east-1", "ap-southeast-2"].iter().all(|region| covers(region)));
        assert!(["cn-north-1", "us-gov-west-1", "eu-central", ""].iter().all(|region| !covers(region)));
    }

    #[test]
    fn a_file_is_written_once_and_mended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        write_to(&path).unwrap();
        let first = fs::metadata(&path).unwrap().modified().unwrap();
        write_to(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), first);
        fs::write(&path, "half of i").unwrap();
        write_to(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), bundle());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let path = directory.path().join("several.pem");
        for _ in 0..20 {
            let begin = Barrier::new(8);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        begin.wait();
                        write_to(&path).unwrap();
                        assert!(fs::read_to_string(&path).unwrap() == bundle(), "half of it was read");
                    });
                }
            });
            fs::remove_file(&path).unwrap();
        }
        let failure = write_to(&directory.path().join("none/ca.pem")).unwrap_err();
        assert!(failure.code == "CO1050" && failure.message.contains("none/ca.pem"), "{failure}");
    }
}
