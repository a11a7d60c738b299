//! Free TCP ports on the loopback address.

use anyhow::{Context, Result, bail};
use rand::Rng;
use std::collections::BTreeSet;
use std::net::TcpListener;

/// Below the kernel's range for outgoing connections (32768 and up), so that no client's own port can take one of ours
/// between the choice and the server's start.
const RANGE: std::ops::Range<u16> = 15_000..30_000;
const ATTEMPTS: usize = 1_000;

/// Hands out ports that nothing listens on, and none twice.
#[derive(Debug, Default)]
pub struct Ports {
    given: BTreeSet<u16>,
}

impl Ports {
    /// `wanted` if it is free, otherwise an error; any free port if nothing is wanted.
    pub fn take(&mut self, wanted: Option<u16>) -> Result<u16> {
        if let Some(port) = wanted {
            TcpListener::bind(("127.0.0.1", port)).with_context(|| format!("port {port} isn't free"))?;
            self.given.insert(port);
            return Ok(port);
        }
        let mut random = rand::rng();
        for _ in 0..ATTEMPTS {
            let port = random.random_range(RANGE);
            if !self.given.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
                self.given.insert(port);
                return Ok(port);
            }
        }
        bail!("no free port between {} and {} in {ATTEMPTS} attempts", RANGE.start, RANGE.end)
    }
}
