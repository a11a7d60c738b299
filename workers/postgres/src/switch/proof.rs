//! The proof under the fence that every table has the gate: nothing has changed since it was proved before the pause. Even that grows
//! with the number of tables, so it takes a session of its own and its time while the marker travels and logins are closed;
//! the gate isn't shut before it has succeeded.

use std::sync::{Arc, Mutex, PoisonError};

use changeover_domain::Failure;
use tokio::task::JoinHandle;

use crate::{Session, gate::Look};

/// A look that has been prepared, and what became of it.
pub(super) struct Proof {
    asked: Arc<(Look, Session)>,
    running: Mutex<Option<JoinHandle<Result<(), Failure>>>>,
}

impl Proof {
    /// `look` was prepared by `session`.
    pub(super) fn new(look: Look, session: Session) -> Self {
        Self { asked: Arc::new((look, session)), running: Mutex::default() }
    }

    /// Proves it of each table now.
    pub(super) async fn prove(&self) -> Result<(), Failure> {
        let (look, session) = &*self.asked;
        look.prove(session).await
    }

    /// Under the lock: begins, and goes on by itself.
    pub(super) fn begin(&self) {
        let asked = Arc::clone(&self.asked);
        let proof = tokio::spawn(async move { asked.0.prove_again(&asked.1).await });
        if let Some(earlier) = self.running().replace(proof) {
            earlier.abort();
        }
    }

    /// What came of it.
    ///
    /// # Errors
    /// CO0760; CO0723 when there is no proof.
    pub(super) async fn end(&self) -> Result<(), Failure> {
        let running = self.running().take();
        let proof = match running {
            Some(proof) => proof.await.ok(),
            None => None,
        };
        let message = "the proof that every table has the gate has broken off";
        proof.unwrap_or_else(|| Err(Failure::transient("CO0723", message, "it is tried again")))
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<Result<(), Failure>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proof {
    fn drop(&mut self) {
        if let Some(proof) = self.running().take() {
            proof.abort();
        }
    }
}
