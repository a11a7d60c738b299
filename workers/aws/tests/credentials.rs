//! Nobody to make a call as: said at once, not tried again and again.

#![allow(clippy::unwrap_used)]

mod stand_in;

use changeover_aws::{Access, Session};
use changeover_domain::{Class, MigrationId, Side};
use stand_in::StandIn;

#[tokio::test]
async fn a_role_that_may_not_be_assumed_and_a_profile_without_keys_are_refused() {
    let stand_in = StandIn::start();
    let id = MigrationId::parse("shop").unwrap();
    let access = stand_in.access(Side::Source);
    let wrong = Access { external_id: Some("another".into()), ..access.clone() };
    let nobody = Access { profile: Some("nobody".into()), role_arn: None, ..access };
    for access in [wrong, nobody] {
        let failure = Session::open(&access, &id, "1").await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.class), ("CO1003", Class::Refused), "{failure}");
    }
}
