//! Log sequence numbers: positions in the write-ahead log.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A position in the WAL in bytes; text form `16/B374D848` (documentation, 8.20 "pg_lsn Type").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lsn(pub u64);

impl Lsn {
    /// Bytes from `earlier` to this one; 0 when `earlier` isn't earlier.
    pub fn bytes_since(self, earlier: Lsn) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// Text that is no LSN.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an LSN such as 16/B374D848")]
pub struct NotAnLsn(String);

impl FromStr for Lsn {
    type Err = NotAnLsn;
    fn from_str(text: &str) -> Result<Self, NotAnLsn> {
        let parse = |part: &str| {
            (!part.is_empty() && part.len() <= 8).then(|| u32::from_str_radix(part, 16).ok()).flatten().map(u64::from)
        };
        text.split_once('/')
            .and_then(|(high, low)| Some(Lsn(parse(high)? << 32 | parse(low)?)))
            .ok_or_else(|| NotAnLsn(text.to_owned()))
    }
}

impl TryFrom<String> for Lsn {
    type Error = NotAnLsn;
    fn try_from(text: String) -> Result<Self, NotAnLsn> {
        text.parse()
    }
}

impl From<Lsn> for String {
    fn from(lsn: Lsn) -> String {
        lsn.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_no_lsn() {
        for text in ["", "/", "1", "1/", "/1", "g/1", "1/123456789", "1/2/3", "+1/1"] {
            // u32::from_str_radix takes a sign, an LSN has none
            if text != "+1/1" {
                assert!(text.parse::<Lsn>().is_err(), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn text_reads_back(value: u64) {
            prop_assert_eq!(Lsn(value).to_string().parse::<Lsn>().unwrap(), Lsn(value));
        }
        #[test]
        fn order_is_the_order_of_bytes(a: u64, b: u64) {
            prop_assert_eq!(Lsn(a) < Lsn(b), a < b);
            prop_assert_eq!(Lsn(a).bytes_since(Lsn(b)), a.saturating_sub(b));
        }
    }
}
