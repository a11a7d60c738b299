//! Publishing the endpoint in Parameter Store, compare-and-set: what to do about what is there
//! (<https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-versions.html>).

use crate::{Failure, aws::names::Owner};

/// A parameter as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The latest version.
    pub version: i64,
    /// Whether the latest version holds what is to be published.
    pub same: bool,
    /// Labels of the latest version.
    pub labels: Vec<String>,
    /// Whose parameter it is.
    pub owner: Owner,
    /// Whether it is a `SecureString`, as ours is. Another type can't be made one.
    pub secure: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Make the parameter.
    Create,
    /// Write the next version, then label it.
    Write {
        /// The version that was the latest.
        after: i64,
    },
    /// The version is there and lacks its label.
    Label {
        /// Which one.
        version: i64,
    },
    /// Nothing.
    Done {
        /// The version that holds it.
        version: i64,
    },
}

/// Decides. `expected` is the version that was the latest when the plan was made, or that we have published since, 0 for none. It is asked
/// after a switch alone: whoever reads the latest version is moved by it.
pub fn decide(name: &str, now: Option<&Published>, expected: i64, label: &str) -> Result<Act, Failure> {
    let Some(now) = now else {
        return if expected == 0 { Ok(Act::Create) } else { Err(changed(name, expected, 0)) };
    };
    let ours = now.labels.iter().any(|have| have == label);
    if now.same && ours {
        return Ok(Act::Done { version: now.version });
    }
    // Written by an earlier attempt, whose answer was lost or which ended before the label; or by a person, as the remedy says.
    if now.same {
        return Ok(Act::Label { version: now.version });
    }
    // A version with our label is ours, also where nobody has noted it: what followed it had failed.
    if now.version != expected && !ours {
        return Err(changed(name, expected, now.version));
    }
    if !now.secure {
        let message = format!("{name} is no SecureString, and AWS doesn't let a parameter become one");
        return Err(Failure::refused("CO1024", message, "name another parameter"));
    }
    Ok(Act::Write { after: now.version })
}

/// What it takes to let what stood there before us hold again, once the source serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It holds.
    Holds,
    /// It has to be written as the next version.
    Write,
}

/// Decides it. `ours` is the version that we have published, `before` the one before us. CO1016 if somebody has written after us.
pub fn again(name: &str, now: Latest, before: i64, ours: i64) -> Result<Again, Failure> {
    match now.version {
        // Never published; or written again by an earlier attempt, whose answer was lost, or by a person.
        _ if now.as_before => Ok(Again::Holds),
        version if version == ours && ours != before => Ok(Again::Write),
        // Ours as well: what followed it had failed, and nobody has noted it.
        _ if now.labelled => Ok(Again::Write),
        version => Err(changed(name, ours, version)),
    }
}

/// Whether the version that a write was answered with follows the one that was there.
pub fn check_written(name: &str, after: i64, written: i64) -> Result<(), Failure> {
    if written == after + 1 { Ok(()) } else { Err(changed(name, after + 1, written)) }
}

/// What a parameter is like when its publication is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latest {
    /// The latest version.
    pub version: i64,
    /// Whether it holds what we published.
    pub ours: bool,
    /// Whether it has our label.
    pub labelled: bool,
    /// Whether it holds what was published before us.
    pub as_before: bool,
}

/// What taking a publication back takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// Nothing was written, or it has been taken back.
    Nothing,
    /// Ours is the latest version: our label comes off, and the value before is written again.
    Write,
    /// Somebody else's version stands where ours would: it stays.
    Left,
    /// Somebody has written after us: only our label comes off, and a person looks.
    Raced,
}

/// Decides it. `before` is the version that was the latest before us. A version is ours by its value or its label, never by its number.
pub fn back(before: i64, now: Latest) -> Back {
    match now.version - before {
        0 => Back::Nothing,
        1 if now.ours || now.labelled => Back::Write,
        2 if now.as_before => Back::Nothing,
        n if n >= 2 => Back::Raced,
        // Ours was never written; or the parameter was deleted and made anew.
        _ => Back::Left,
    }
}

/// The failure of [`Back::Raced`].
pub fn raced(name: &str, before: i64, latest: i64) -> Failure {
    changed(name, before + 1, latest)
}

fn changed(name: &str, expected: i64, found: i64) -> Failure {
    let version = |version: i64| if version == 0 { "no version".to_owned() } else { format!("version {version}") };
    Failure::needs_human(
        "CO1016",
        format!("{name} was changed by somebody else: expected {}, found {}", version(expected), version(found)),
        "see who changed the parameter; write the right value there yourself, or the version before again: it is taken up at the next look, or by `changeover retry`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn now(version: i64, same: bool, labels: &[&str], owner: Owner) -> Published {
        Published { version, same, labels: labels.iter().map(|&label| label.to_owned()).collect(), owner, secure: true }
    }

    #[test]
    fn a_plain_parameter_cannot_become_encrypted() {
        let plain = Published { secure: false, ..now(3, false, &["live"], Owner::Somebody) };
        assert_eq!(decide("/p", Some(&plain), 3, "us").unwrap_err().code, "CO1024");
    }

    #[rstest]
    #[case::none(None, 0, Ok(Act::Create))]
    #[case::gone(None, 3, Err("CO1016"))]
    #[case::done(Some(now(1, true, &["us"], Owner::Us)), 0, Ok(Act::Done { version: 1 }))]
    #[case::answer_lost(Some(now(1, true, &[], Owner::Us)), 0, Ok(Act::Label { version: 1 }))]
    #[case::lost_on_theirs(Some(now(4, true, &[], Owner::Somebody)), 3, Ok(Act::Label { version: 4 }))]
    #[case::by_label(Some(now(3, false, &["live"], Owner::Somebody)), 3, Ok(Act::Write { after: 3 }))]
    #[case::live(Some(now(3, false, &[], Owner::Somebody)), 3, Ok(Act::Write { after: 3 }))]
    #[case::raced(Some(now(4, false, &["live"], Owner::Somebody)), 3, Err("CO1016"))]
    #[case::appeared(Some(now(1, false, &[], Owner::Somebody)), 0, Err("CO1016"))]
    #[case::not_noted(Some(now(4, false, &["us"], Owner::Somebody)), 3, Ok(Act::Write { after: 4 }))]
    #[case::by_hand(Some(now(9, true, &[], Owner::Somebody)), 3, Ok(Act::Label { version: 9 }))]
    fn each_state_has_its_act(#[case] now: Option<Published>, #[case] expected: i64, #[case] act: Result<Act, &str>) {
        let decided = decide("/p", now.as_ref(), expected, "us").map_err(|failure| failure.code);
        assert_eq!(decided, act.map_err(str::to_owned));
    }

    #[rstest]
    #[case::not_written(3, false, false, true, Back::Nothing)]
    #[case::ours(4, true, false, false, Back::Write)]
    #[case::ours_by_its_label(4, false, true, false, Back::Write)]
    #[case::a_strangers(4, false, false, false, Back::Left)]
    #[case::taken_back(5, false, false, true, Back::Nothing)]
    #[case::a_stranger_after_us(5, false, false, false, Back::Raced)]
    #[case::many(9, false, false, true, Back::Raced)]
    #[case::made_anew(1, false, false, false, Back::Left)]
    fn only_our_own_version_is_taken_back(
        #[case] version: i64,
        #[case] ours: bool,
        #[case] labelled: bool,
        #[case] as_before: bool,
        #[case] expected: Back,
    ) {
        assert_eq!(back(3, Latest { version, ours, labelled, as_before }), expected);
    }

    #[rstest]
    #[case::never_published(3, 3, true, false, Ok(Again::Holds))]
    #[case::ours(5, 5, false, true, Ok(Again::Write))]
    #[case::not_noted(4, 3, false, true, Ok(Again::Write))]
    #[case::answer_lost(6, 5, true, false, Ok(Again::Holds))]
    #[case::by_hand(9, 5, true, false, Ok(Again::Holds))]
    #[case::a_strangers(6, 5, false, false, Err("CO1016"))]
    #[case::older(4, 5, false, false, Err("CO1016"))]
    fn the_value_before_is_written_once(
        #[case] version: i64,
        #[case] ours: i64,
        #[case] as_before: bool,
        #[case] labelled: bool,
        #[case] expected: Result<Again, &str>,
    ) {
        let now = Latest { version, ours: false, labelled, as_before };
        assert_eq!(again("/p", now, 3, ours).map_err(|failure| failure.code), expected.map_err(str::to_owned));
    }

    #[test]
    fn a_version_between_is_noticed() {
        check_written("/p", 3, 4).unwrap();
        assert_eq!(check_written("/p", 3, 5).unwrap_err().code, "CO1016");
    }
}
