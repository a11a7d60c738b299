//! The harness around Changeover: the local stack, the workload with its ledger, the oracle. No product code is linked here:
//! the judge of a run must not share a mistake with it.

pub mod aws;
pub mod demo;
pub mod ledger;
pub mod oracle;
pub mod probe;
pub mod product;
pub mod proxy;
pub mod sample;
pub mod scenario;
pub mod stack;
pub mod workload;
