//! What runs that were begun by an earlier version don't do: they go on as they began. Each change is a function; a history in
//! `tests/histories` from before it shows that it is asked for wherever the commands differ.

use temporalio_workflow::WorkflowContext;

use crate::Migration;

/// Runs end after a number of events of their own, not only when Temporal suggests it, and the soak waits once between two looks.
pub(crate) fn calm_looks(ctx: &WorkflowContext<Migration>) -> bool {
    ctx.patched("calm-looks")
}

/// Slots are watched while no stage looks at them.
pub(crate) fn watch_wal(ctx: &WorkflowContext<Migration>) -> bool {
    ctx.patched("watch-wal")
}
