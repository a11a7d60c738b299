//! The switch under load and faults.
//!
//! [`Lab`] is a pair of clusters with a pooler, brought by the product's own functions to the point where a switch may begin,
//! with writers whose ledger is judged at the end. A switch runs in this process or, to be killed or stopped, in a child
//! ([`Switcher`]). The judge is the harness's: ledger, oracle and probe share no code with what they judge.

mod judge;
mod lab;
mod prepare;
mod spec;
mod switcher;

/// A session of the harness.
pub use changeover_tests::stack::connect::Client;
pub use judge::{Judgement, Serving, serving};
pub use lab::{Lab, LabOptions};
pub use switcher::{Ended, Running, Switcher, Verb};

/// The harness's name of a side of the product.
pub fn side(side: changeover_domain::Side) -> changeover_tests::stack::Side {
    match side {
        changeover_domain::Side::Source => changeover_tests::stack::Side::Source,
        changeover_domain::Side::Target => changeover_tests::stack::Side::Target,
    }
}
