//! Blocks of IPv4 addresses.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use serde::{Deserialize, Serialize};

/// A block such as `10.20.0.0/16`. Bits behind the prefix are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: u32,
    prefix: u8,
}

impl Cidr {
    /// Whether it has all addresses of another one.
    pub fn covers(self, other: Cidr) -> bool {
        self.prefix <= other.prefix && other.address & mask(self.prefix) == self.address
    }
    /// Whether there is an address that both have.
    pub fn overlaps(self, other: Cidr) -> bool {
        self.covers(other) || other.covers(self)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// A text that is no block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoCidr(String);

impl fmt::Display for NoCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} isn't a block of IPv4 addresses, such as 10.20.0.0/16", self.0)
    }
}

impl std::error::Error for NoCidr {}

impl FromStr for Cidr {
    type Err = NoCidr;
    fn from_str(text: &str) -> Result<Self, NoCidr> {
        let read = || {
            let (address, prefix) = text.split_once('/')?;
            let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
            Some(Cidr { address: u32::from(address.parse::<Ipv4Addr>().ok()?) & mask(prefix), prefix })
        };
        read().ok_or_else(|| NoCidr(text.to_owned()))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.address), self.prefix)
    }
}

impl TryFrom<String> for Cidr {
    type Error = NoCidr;
    fn try_from(text: String) -> Result<Self, NoCidr> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> String {
        cidr.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[rstest]
    #[case("10.0.0.0/8", "10.20.0.0/16", true)]
    #[case("10.20.0.0/16", "10.0.0.0/8", true)]
    #[case("10.20.0.0/16", "10.20.0.0/16", true)]
    #[case("10.20.0.0/17", "10.20.128.0/17", false)]
    #[case("10.20.0.0/16", "10.21.0.0/16", false)]
    #[case("0.0.0.0/0", "192.168.1.1/32", true)]
    #[case("192.168.1.0/32", "192.168.1.1/32", false)]
    fn blocks_overlap_where_one_has_the_other(#[case] a: &str, #[case] b: &str, #[case] overlap: bool) {
        assert_eq!((cidr(a).overlaps(cidr(b)), cidr(b).overlaps(cidr(a))), (overlap, overlap));
    }

    #[rstest]
    #[case("10.20.0.0")]
    #[case("10.20.0.0/33")]
    #[case("10.20.0/16")]
    #[case("fd00::/8")]
    #[case("")]
    fn what_is_no_block_is_refused(#[case] text: &str) {
        assert!(text.parse::<Cidr>().unwrap_err().to_string().contains("10.20.0.0/16"));
    }

    #[test]
    fn bits_behind_the_prefix_do_not_count() {
        assert_eq!(cidr("10.20.30.40/16"), cidr("10.20.0.0/16"));
        assert_eq!(serde_json::to_string(&cidr("10.20.30.40/16")).unwrap(), r#""10.20.0.0/16""#);
    }

    proptest! {
        #[test]
        fn a_block_covers_an_address_that_has_its_prefix(address: u32, prefix in 0u8..=32, other: u32) {
            let block = cidr(&format!("{}/{prefix}", Ipv4Addr::from(address)));
            let single = cidr(&format!("{}/32", Ipv4Addr::from(other)));
            let same = (0..prefix).all(|bit| (address ^ other) & (1 << (31 - bit)) == 0);
            prop_assert_eq!(block.covers(single), same);
            prop_assert_eq!(block, cidr(&block.to_string()));
        }
    }
}
