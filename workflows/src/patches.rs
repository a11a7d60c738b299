//! What runs that were begun by an earlier version don't do: they go on as they began. Each change is a function; a history in
//! `tests/histories` from before it shows that it is asked for wherever the commands differ.

use temporalio_workflow::WorkflowContext;

use crate::Migration;

/// Runs end after a number of events of their own, not only when Temporal suggests it, and the soak waits once between two looks.
pub(crate) fn calm_looks(ctx: &WorkflowContext<Migration>) -> bool {
    ctx.patched("calm-looks")
}

/// Deployments are called after the publication by a call of their own, which a person's word ends.
pub(crate) fn deploys_apart(ctx: &WorkflowContext<Migration>) -> bool {
    ctx.patched("deploys-apart")
}

/// Before a reboot that an abort asks for it is noted since when the server runs.
pub(crate) fn reboots_are_told_by_the_server(ctx: &WorkflowContext<Migration>) -> bool {
    ctx.patched("reboots-told-by-the-server")
}

/// A run that is parked or paused ends as well when its history is long, and the first run of a migration by its bytes too.
pub(crate) fn every_wait_ends(ctx: &WorkflowContext<Migration>) -> bool {
    ctx.patched("every-wait-ends")
}

/// A slot that has lost its WAL parks the run at once, while the source serves.
pub(crate) fn lost_slots(ctx: &WorkflowContext<Migration>) -> bool {
    ctx.patched("lost-slots")
}

/// Slots are watched while no stage looks at them.
pub(crate) fn watch_wal(ctx: &WorkflowContext<Migration>) -> bool {
    ctx.patched("watch-wal")
}
