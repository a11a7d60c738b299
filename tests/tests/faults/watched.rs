//! The status of a run, asked for beside everything else.

use changeover_tests::{
    product::{Product, Status},
    scenario::NAME,
};
use std::time::{Duration, Instant};
use tokio::{sync::watch, task::JoinHandle};

/// Between two looks at the status.
const STATUS: Duration = Duration::from_millis(300);

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    pub stage: String,
    pub undos: usize,
    pub state: String,
    /// When the workflow has last heard of something: an activity that ended, a timer, a person.
    pub updated: String,
}

impl Mark {
    pub fn of(status: &Status) -> Self {
        let undos = status.0["undo"].as_array().map_or(0, Vec::len);
        let text = |field: &str| status.text(field).to_owned();
        Self { stage: text("stage"), undos, state: status.state().to_owned(), updated: text("updatedAt") }
    }
}

/// The one who asks: a worker that stands still doesn't answer.
pub struct Watched {
    latest: watch::Receiver<Option<(Instant, Status)>>,
    asking: JoinHandle<()>,
}

impl Watched {
    pub fn start(product: Product) -> Self {
        let (sender, latest) = watch::channel(None);
        let asking = tokio::spawn(async move {
            loop {
                tokio::time::sleep(STATUS).await;
                let asked = Instant::now();
                // It can't be had while Temporal or every worker is away: the run's deadline decides.
                if let Ok(status) = product.status(NAME).await {
                    sender.send_replace(Some((asked, status)));
                }
            }
        });
        Self { latest, asking }
    }

    /// A status that hasn't been looked at yet, and when it was asked for.
    pub fn news(&mut self) -> Option<(Instant, Status)> {
        if self.latest.has_changed().unwrap_or(false) { self.latest.borrow_and_update().clone() } else { None }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.asking.abort();
    }
}
