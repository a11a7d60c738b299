//! Parameters that depend on the size of the instance, where the target has another class than the source. A formula gives another number
//! there, and a number that somebody has set for the source's memory may be more than the target has.
//!
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ParamValuesRef.html>

use std::collections::BTreeMap;

use super::parameters::{Change, Need, Parameter, Wanted};

/// Whether a value is reckoned from the instance's size or another of its traits.
pub fn is_formula(value: &str) -> bool {
    const FUNCTIONS: &[&str] = &["GREATEST(", "LEAST(", "SUM(", "LOG("];
    let plain: String = value.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_uppercase();
    plain.contains('{') || FUNCTIONS.iter().any(|function| plain.starts_with(function))
}

/// What is a share of the memory. With more of it than there is the server doesn't start; the engine's own value fits every class.
const SHARES_OF_MEMORY: &[&str] = &["effective_cache_size", "shared_buffers"];

/// The source's parameters as far as they fit another class, and what doesn't, by name: for that the engine's own formula holds.
pub fn fitting(source: &[Parameter]) -> (Vec<Parameter>, Vec<String>) {
    let (kept, left): (Vec<_>, Vec<_>) = source.iter().cloned().partition(|parameter| {
        let fixed = parameter.value.as_deref().is_some_and(|value| !is_formula(value));
        !(parameter.is_set() && fixed && SHARES_OF_MEMORY.contains(&parameter.name.as_str()))
    });
    (kept, left.into_iter().map(|parameter| parameter.name).collect())
}

/// Numbers for what replication needs and the target's group has as a formula: what the formula gives there isn't known before the server
/// runs. The greater of what is needed and what the source has.
pub fn instead_of_formulas(
    wanted: &[Wanted],
    target: &[Parameter],
    source_runs: &BTreeMap<String, String>,
) -> Vec<Change> {
    let number = |want: &Wanted| {
        let (Need::AtLeast(least) | Need::AtLeastOrZero(least)) = want.need else { return None };
        let runs = source_runs.get(want.name).and_then(|value| value.trim().parse::<u32>().ok());
        Some(least.max(runs.unwrap_or_default()))
    };
    let change = |want: &Wanted| {
        let to = number(want)?.to_string();
        let seen = target.iter().find(|parameter| parameter.name == want.name)?;
        let from = seen.value.clone().filter(|value| seen.modifiable && is_formula(value))?;
        let (name, why) = (want.name.to_owned(), want.why.to_owned());
        Some(Change { name, from: Some(from), to, waits_for_reboot: seen.waits_for_reboot(), why })
    };
    wanted.iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn parameter(name: &str, value: &str, source: &str) -> Parameter {
        Parameter {
            name: name.into(),
            value: Some(value.into()),
            source: source.into(),
            apply_type: "static".into(),
            modifiable: true,
        }
    }

    #[rstest]
    #[case("{DBInstanceClassMemory/32768}", true)]
    #[case("LEAST({DBInstanceClassMemory/9531392},5000)", true)]
    #[case("greatest (1,2)", true)]
    #[case("1", false)]
    #[case("pg_stat_statements,pglogical", false)]
    fn formulas_are_known(#[case] value: &str, #[case] formula: bool) {
        assert_eq!(is_formula(value), formula);
    }

    #[test]
    fn a_share_of_the_sources_memory_stays_behind_and_is_named() {
        let source = [
            parameter("shared_buffers", "4194304", "user"),
            parameter("effective_cache_size", "{DBInstanceClassMemory/16384}", "user"),
            parameter("max_connections", "500", "user"),
        ];
        let (kept, left) = fitting(&source);
        assert_eq!(left, ["shared_buffers"]);
        assert_eq!(
            kept.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(),
            ["effective_cache_size", "max_connections"]
        );
    }

    #[test]
    fn a_formula_gives_way_to_the_greater_of_need_and_source() {
        let want = |least| [Wanted { name: "max_worker_processes", need: Need::AtLeast(least), why: "" }];
        let target = [parameter("max_worker_processes", "GREATEST({DBInstanceVCPU*2},8)", "engine-default")];
        let to = |least, runs: &str| {
            let runs = [("max_worker_processes".to_owned(), runs.to_owned())].into();
            instead_of_formulas(&want(least), &target, &runs)[0].to.clone()
        };
        assert_eq!((to(30, "8"), to(30, "128")), ("30".to_owned(), "128".to_owned()));
        let fixed = [parameter("max_worker_processes", "8", "user")];
        assert_eq!(instead_of_formulas(&want(30), &fixed, &BTreeMap::new()), []);
    }
}
