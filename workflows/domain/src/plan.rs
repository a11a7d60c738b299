//! The hash that binds an approval to what was read.

use sha2::{Digest, Sha256};

use crate::proto::Spec;

/// Raised when the same spec would make another plan than before.
const PLAN_VERSION: u32 = 1;

/// The plan's hash: SHA-256, in hex, over the plan's version and the canonical JSON of the spec (keys sorted, no spaces,
/// all defaults filled in). A pure function of the spec, so that whoever holds the spec gets the same.
pub fn plan_hash(spec: &Spec) -> String {
    // Through `Value`, whose maps are sorted; a message of plain fields can always be turned into JSON.
    let spec = serde_json::to_value(spec).unwrap_or_default();
    let canonical = serde_json::json!({ "plan": PLAN_VERSION, "spec": spec }).to_string();
    Sha256::digest(canonical.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The short form for people: the first 12 digits.
pub fn short_hash(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// Whether `given`, short or whole, means `hash`. Fewer than 12 digits mean nothing.
pub fn same_plan(given: &str, hash: &str) -> bool {
    given.len() >= 12 && hash.starts_with(&given.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_change_of_the_spec_changes_the_hash() {
        let spec = crate::spec::parse(&crate::spec::render::init_text()).unwrap();
        let hash = plan_hash(&spec);
        assert_eq!(hash.len(), 64);
        assert_eq!(hash, plan_hash(&spec.clone()));
        let mut other = spec;
        if let Some(soak) = other.soak.as_mut() {
            soak.poll_ms += 1;
        }
        assert_ne!(hash, plan_hash(&other));
    }

    #[test]
    fn a_short_hash_is_recognised() {
        let hash = "0123456789abcdef";
        assert_eq!(short_hash(hash), "0123456789ab");
        assert!(same_plan("0123456789AB", hash));
        assert!(!same_plan("0123", hash));
        assert!(!same_plan("", hash));
        assert!(!same_plan("0123456789ac", hash));
    }
}
