//! What an abort leaves of somebody else's, on the stand-in.

#![allow(clippy::unwrap_used)]

mod stand_in;

use changeover_aws::{Session, key, publish, undo};
use changeover_domain::{Side, aws::undo::AwsUndo};
use stand_in::StandIn;

const NAME: &str = "/shop/db/endpoint";

async fn publish(session: &Session, value: &str, expected: i64, key: &str) -> AwsUndo {
    let endpoint = publish::Endpoint { name: NAME.into(), value: value.into(), expected };
    publish::ensure_published(session, &endpoint, key).await.unwrap();
    endpoint.undo()
}

#[tokio::test]
async fn another_ones_version_is_never_overwritten() {
    let stand_in = StandIn::start();
    let target = stand_in.session(Side::Target, "shop").await.unwrap();
    let other = stand_in.session(Side::Target, "other").await.unwrap();
    let key = key::ensure_key(&target, &[]).await.unwrap().arn;
    publish(&other, "old:5432", 0, &key).await;

    // Ours was planned and never written; somebody else's has its number.
    let ours = publish::Endpoint { name: NAME.into(), value: "new:5432".into(), expected: 1 };
    publish(&other, "theirs:5432", 1, &key).await;
    let left = undo::undo(&target, &ours.undo()).await.unwrap();
    assert_eq!(left, undo::Undone::Left { names: vec![NAME.into()] });
    assert_eq!(publish::latest_version(&target, NAME).await.unwrap(), 2);

    // Somebody has written after us: our label comes off, and theirs stays.
    let taken = publish(&target, "new:5432", 2, &key).await;
    publish(&other, "theirs:5433", 3, &key).await;
    assert_eq!(undo::undo(&target, &taken).await.unwrap_err().code, "CO1016");
    assert_eq!(publish::latest_version(&target, NAME).await.unwrap(), 4);
    let unlabelled = |call: &&serde_json::Value| call["action"] == "UnlabelParameterVersion";
    assert_eq!(stand_in.calls().iter().filter(unlabelled).count(), 1);

    // An answer that was lost: written once, and known again.
    let taken = publish(&target, "new:5434", 4, &key).await;
    stand_in.fault(serde_json::json!({ "service": "ssm", "action": "PutParameter", "kind": "lose-answer" }));
    assert_eq!(undo::undo(&target, &taken).await.unwrap_err().code, "CO1001");
    assert_eq!(undo::undo(&target, &taken).await.unwrap(), undo::Undone::Done);
    assert_eq!(publish::latest_version(&target, NAME).await.unwrap(), 6);
}
