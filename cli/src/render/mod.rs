//! Messages as text. Pure: a message and the colours in, the text out.

pub(crate) mod aws;
pub(crate) mod format;
pub(crate) mod history;
pub(crate) mod list;
pub(crate) mod plan;
pub(crate) mod preflight;
pub(crate) mod status;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
