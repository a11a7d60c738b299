//! Whose something is, and the tags of what we make.

use changeover_domain::{
    Failure,
    aws::{errors, names::Owner},
};

use crate::{error::Told, session::Session};

/// Tags for a request to RDS.
pub(crate) fn rds(session: &Session) -> Vec<aws_sdk_rds::types::Tag> {
    let tags = session.names().tags(session.side());
    tags.map(|(key, value)| aws_sdk_rds::types::Tag::builder().key(key).value(value).build()).into()
}

/// Refuses what isn't ours, in these words for it. CO1008.
pub(crate) fn check_owner(session: &Session, what: &str, owner: &Owner) -> Result<(), Failure> {
    match owner {
        Owner::Us => Ok(()),
        owner => Err(errors::not_ours(session.side(), what, owner)),
    }
}

/// Whose something of RDS is, by the tags in its description.
pub(crate) fn owner(session: &Session, tags: &[aws_sdk_rds::types::Tag]) -> Owner {
    session.names().owner(tags.iter().filter_map(|tag| Some((tag.key()?, tag.value()?))))
}

/// The same for what is described without its tags, such as `("pg", "orders")`.
pub(crate) async fn owner_of(session: &Session, kind: &str, name: &str) -> Result<Owner, Failure> {
    let arn = session.rds_arn(kind, name);
    let what = format!("reading the tags of {name}");
    let answer = session.rds.list_tags_for_resource().resource_name(arn).send().await.told(session.side(), &what)?;
    Ok(owner(session, answer.tag_list()))
}
