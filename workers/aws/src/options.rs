//! Option groups of both sides, and the target's made equal.

use std::collections::BTreeMap;

use aws_sdk_rds::types::{OptionConfiguration, OptionSetting};
use changeover_domain::{
    Failure,
    aws::options::{Difference, OptionSeen, difference},
};
use serde::{Deserialize, Serialize};

use crate::{error::Told, session::Session, tags};

/// An option group as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionGroupSeen {
    /// The major version that it is for, such as `15`.
    pub major: String,
    /// Its options.
    pub options: Vec<OptionSeen>,
    /// Whether one of them can't be taken away again, so that a snapshot can't be shared.
    pub permanent: bool,
}

/// An option group; `None` if there is none of this name.
pub async fn look_at_options(session: &Session, group: &str) -> Result<Option<OptionGroupSeen>, Failure> {
    let what = format!("looking at the option group {group}");
    let answer = session.rds.describe_option_groups().option_group_name(group).send().await;
    let answer = answer.unless(&["OptionGroupNotFound"], session.side(), &what)?;
    Ok(answer.as_ref().and_then(|answer| answer.option_groups_list().first()).map(|group| OptionGroupSeen {
        major: group.major_engine_version().unwrap_or_default().to_owned(),
        options: group.options().iter().map(seen).collect(),
        permanent: group.options().iter().any(|option| option.permanent().unwrap_or_default()),
    }))
}

fn seen(option: &aws_sdk_rds::types::Option) -> OptionSeen {
    let set = |setting: &OptionSetting| {
        let (name, value) = (setting.name()?, setting.value()?);
        (setting.default_value() != Some(value)).then(|| (name.to_owned(), value.to_owned()))
    };
    let settings: BTreeMap<String, String> = option.option_settings().iter().filter_map(set).collect();
    OptionSeen {
        name: option.option_name().unwrap_or_default().to_owned(),
        version: option.option_version().map(str::to_owned),
        settings,
    }
}

/// Makes the target's option group and gives it the source's options. Not called where the source has none: then the target has the
/// engine's own. Returns its name and what still differs.
pub async fn ensure_option_group(
    target: &Session,
    major: &str,
    source: &[OptionSeen],
) -> Result<(String, Difference), Failure> {
    let group = target.names().option_group();
    if look_at_options(target, &group).await?.is_none() {
        let request = target
            .rds
            .create_option_group()
            .option_group_name(&group)
            .engine_name("postgres")
            .major_engine_version(major)
            .option_group_description(format!("Changeover: migration {}", target.names().migration()))
            .set_tags(Some(tags::rds(target)));
        let what = format!("making the option group {group}");
        request.send().await.unless(&["OptionGroupAlreadyExists"], target.side(), &what)?;
    }
    tags::check_owner(target, &format!("the option group {group}"), &tags::owner_of(target, "og", &group).await?)?;
    let lacking = difference(source, &now(target, &group).await?).add;
    if !lacking.is_empty() {
        add(target, &group, &lacking).await?;
    }
    let left = difference(source, &now(target, &group).await?);
    Ok((group, left))
}

async fn now(target: &Session, group: &str) -> Result<Vec<OptionSeen>, Failure> {
    Ok(look_at_options(target, group).await?.map(|seen| seen.options).unwrap_or_default())
}

async fn add(target: &Session, group: &str, options: &[OptionSeen]) -> Result<(), Failure> {
    let configurations = options
        .iter()
        .map(|option| {
            let settings =
                option.settings.iter().map(|(name, value)| OptionSetting::builder().name(name).value(value).build());
            OptionConfiguration::builder()
                .option_name(&option.name)
                .set_option_version(option.version.clone())
                .set_option_settings(Some(settings.collect()))
                .build()
        })
        .collect();
    let request = target.rds.modify_option_group().option_group_name(group).apply_immediately(true);
    let request = request.set_options_to_include(Some(configurations));
    request.send().await.told(target.side(), &format!("giving {group} the source's options")).map(drop)
}
