//! Undoing in AWS, one thing at a time.

use changeover_aws::undo::{self, Undone};
use changeover_domain::{Failure, aws::provision::AwsFacts};
use changeover_workflows::contract::{AwsUndoInput, AwsUndone};

use super::{ground::Ground, network};

/// Undoes one thing, or sees how far that is.
pub(crate) async fn undo(input: AwsUndoInput) -> Result<AwsUndone, Failure> {
    let ground = Ground::new(&input.spec, &AwsFacts::default(), &input.run)?;
    let session = ground.session_to_undo(input.undo.side()).await?;
    let undone = if input.undo.is_of_network() {
        Box::pin(network::undo(&session, &input.undo)).await?
    } else {
        Box::pin(undo::undo(&session, &input.undo)).await?
    };
    Ok(match undone {
        Undone::Done => AwsUndone { detail: "done".to_owned(), ..AwsUndone::default() },
        Undone::Working { status } => AwsUndone { goes_on: Some(status), ..AwsUndone::default() },
        Undone::PendingReboot { instance, left } => AwsUndone {
            detail: format!("done; it holds from the next reboot of {instance} on{}", left_alone(&left)),
            pending_reboot: Some(instance),
            ..AwsUndone::default()
        },
        Undone::Left { names } => AwsUndone { detail: format!("done{}", left_alone(&names)), ..AwsUndone::default() },
    })
}

fn left_alone(names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    format!("; left: {}, which isn't ours or was changed by somebody else since", names.join(", "))
}
