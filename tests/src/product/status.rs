//! A status as its JSON has it.

use serde_json::Value;

/// A migration's status, read from JSON (proto3's mapping: camelCase, 64-bit numbers as strings, defaults left out).
#[derive(Clone, Debug)]
pub struct Status(pub Value);

impl Status {
    /// A text field; empty when it's left out.
    pub fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }
    /// Such as `WAITING`.
    pub fn state(&self) -> &str {
        self.text("state").trim_start_matches("STATE_")
    }
    /// The stage's word.
    pub fn stage(&self) -> &str {
        self.text("stage")
    }
    /// It waits for a person at a stage.
    pub fn waits_at(&self, stage: &str) -> bool {
        self.state() == "WAITING" && self.stage() == stage
    }
    /// It's stopped by a failure.
    pub fn is_parked(&self) -> bool {
        self.state() == "PARKED"
    }
    /// It has ended, one way or another.
    pub fn has_ended(&self) -> bool {
        ["ABORTED", "FINISHED", "REFUSED"].contains(&self.state())
    }
    /// A number anywhere, written as a number or as a string; 0 when it's left out.
    pub fn number(value: &Value) -> u64 {
        value.as_u64().or_else(|| value.as_str().and_then(|s| s.parse().ok())).unwrap_or(0)
    }
    /// The epoch.
    pub fn epoch(&self) -> u64 {
        Self::number(&self.0["epoch"])
    }
    /// Percent of the initial copy's bytes; `None` before the first look.
    pub fn copied_percent(&self) -> Option<f64> {
        let progress = &self.0["progress"];
        let total = Self::number(&progress["bytesTotal"]);
        (total > 0).then(|| Self::number(&progress["bytesDone"]) as f64 * 100.0 / total as f64)
    }
}
