//! A server's certificate is changed while a migration runs, as when an authority is replaced.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)] // what the flaws of preflight need besides
mod ground;

use std::{
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use changeover_domain::{Class, Failure};
use changeover_postgres::{Migration, Site};
use changeover_tests::stack::{Authority, Cluster, connect};
use ground::{DATABASE, Ground};

const LONGEST: Duration = Duration::from_secs(20);

/// Gives the server another certificate, as whoever rotates it does.
async fn change(cluster: &Cluster, authority: &Authority) {
    let directory = cluster.data().parent().map(Path::to_path_buf).unwrap();
    authority.issue("source", &cluster.host, &directory).unwrap();
    let client = connect::as_superuser(cluster, "postgres").await.unwrap();
    client.batch_execute("select pg_reload_conf()").await.unwrap();
}

/// The server takes a certificate up some time after it was told to.
async fn until_refused(site: &Site) -> Failure {
    let begun = Instant::now();
    loop {
        match site.open(DATABASE, "look").await {
            Err(failure) => return failure,
            Ok(_) => assert!(begun.elapsed() < LONGEST, "the new certificate isn't used"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_another_authority_is_refused_until_ca_file_names_it_and_open_sessions_go_on() {
    let ground = Ground::start(&[DATABASE], &[]).await;
    let info = ground.info();
    let migration = Migration::resolve(&ground.spec("certificate")).unwrap();
    let site = &migration.source;
    let open = site.open(DATABASE, "look").await.unwrap();

    let authority = Authority::new().unwrap();
    change(&info.source, &authority).await;
    let failure = until_refused(site).await;
    assert_eq!((failure.code.as_str(), failure.class), ("CO0203", Class::Refused), "{failure}");
    assert!(failure.remedy.contains("ca_file"), "{failure:?}");
    open.query_one("select 1", &[]).await.expect("a session that is open goes on");

    // The remedy: the file names both, as a provider's bundle does while it replaces one.
    let mut bundle = std::fs::OpenOptions::new().append(true).open(&info.ca).unwrap();
    bundle.write_all(authority.pem().as_bytes()).unwrap();
    site.open(DATABASE, "look").await.expect("the same migration goes on, with nobody starting it again");

    // Another one by the same authority needs nothing.
    change(&info.source, &authority).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        site.open(DATABASE, "look").await.expect("a certificate by a known authority is taken");
    }
}
