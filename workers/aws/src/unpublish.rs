//! Taking a publication back, as long as ours is the latest version. What somebody else has written stays.

use changeover_domain::{
    Failure,
    aws::publish::{Again, Back, Latest, again, back, check_written, raced},
};

use crate::{
    error::Told,
    publish::{get, labels, once, version},
    session::Session,
    undo::Undone,
};

/// Takes our label off and writes the version that was the latest again. `ours` is what we published. CO1016 if somebody has written
/// after us.
pub(crate) async fn unpublish(target: &Session, name: &str, before: i64, ours: &str) -> Result<Undone, Failure> {
    let Some((latest, value)) = get(target, name).await? else { return Ok(Undone::Done) };
    let was = get(target, &format!("{name}:{before}")).await?.map(|(_, value)| value);
    let labelled = latest == before + 1 && has_label(target, name, latest).await?;
    let as_before = was.as_ref() == Some(&value);
    match back(before, Latest { version: latest, ours: value == ours, labelled, as_before }) {
        Back::Nothing => Ok(Undone::Done),
        Back::Left => Ok(Undone::Left { names: vec![name.to_owned()] }),
        Back::Raced => {
            unlabel(target, name, before + 1).await?;
            Err(raced(name, before, latest))
        }
        Back::Write => {
            unlabel(target, name, latest).await?;
            let value = was.ok_or_else(|| unreadable(name))?;
            write(target, name, before, before + 1, value).await.map(|_| Undone::Done)
        }
    }
}

async fn has_label(target: &Session, name: &str, number: i64) -> Result<bool, Failure> {
    Ok(labels(target, name, number).await?.contains(&target.names().endpoint_label()))
}

async fn unlabel(target: &Session, name: &str, number: i64) -> Result<(), Failure> {
    if !has_label(target, name, number).await? {
        return Ok(());
    }
    let label = target.names().endpoint_label();
    let request = target.ssm.unlabel_parameter_version().name(name).parameter_version(number).labels(label);
    request.send().await.told(target.side(), &format!("taking the label off {name}")).map(drop)
}

/// Lets what stood there before this migration hold again, in its type and under its key, as the version after ours: the source serves.
/// `ours` is the latest version that we have published. Returns the version that holds it. CO1016 if somebody has written after us.
pub async fn ensure_as_before(target: &Session, name: &str, before: i64, ours: i64) -> Result<i64, Failure> {
    let (latest, value) = get(target, name).await?.unwrap_or_default();
    let was = get(target, &format!("{name}:{before}")).await?.map(|(_, value)| value);
    let labelled = has_label(target, name, latest).await?;
    let as_before = was.as_ref() == Some(&value);
    let now = Latest { version: latest, ours: latest == ours, labelled, as_before };
    match again(name, now, before, ours)? {
        Again::Holds => Ok(latest),
        Again::Write => {
            unlabel(target, name, latest).await?;
            write(target, name, before, latest, was.ok_or_else(|| unreadable(name))?).await
        }
    }
}

/// Writes the value of version `before` as the version after `latest`.
async fn write(target: &Session, name: &str, before: i64, latest: i64, value: String) -> Result<i64, Failure> {
    // The history knows of which type it was, and under which key.
    let was = version(target, name, before).await?.ok_or_else(|| unreadable(name))?;
    let request = target.ssm.put_parameter().name(name).value(value).overwrite(true);
    let request = request.set_type(was.r#type().cloned()).set_key_id(was.key_id().map(str::to_owned));
    // A second request of the SDK's own would overwrite whoever came between the two.
    let answer = request.customize().config_override(once()).send().await;
    let answer = answer.told(target.side(), &format!("writing version {before} of {name} again"))?;
    check_written(name, latest, answer.version())?;
    Ok(answer.version())
}

fn unreadable(name: &str) -> Failure {
    let message = format!("the version of {name} that was published before can't be read any more");
    Failure::needs_human("CO1016", message, "write the right value yourself, then `changeover retry`")
}
