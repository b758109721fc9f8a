//! Taking over what an earlier agent of an instance has left behind.

use domain::actions::TakeOverRecording;
use domain::audit::AuditEvent;
use domain::gate::Granted;
use domain::succession::TakeOver;
use domain::{AgentId, TerminalSessionToken, Timestamp};
use recording::ContentHash;

use super::{Revision, Scope, Store, apply, unclaimed};
use crate::StoreError;
use crate::rows::{agent_rows, recording_rows, stream_rows};

/// Which recording is taken over, by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taking {
    /// The recording.
    pub token: TerminalSessionToken,
    /// SHA-256 of the `start.json` that was shown, which names the agent that made it.
    pub start_sha256: ContentHash,
    /// The agent that takes it over. That it may do so was checked.
    pub successor: AgentId,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// Takes over a recording that is known: from now on the successor holds it, and nothing that its earlier holder still
    /// sends changes it. The audit row says how it stood.
    ///
    /// # Errors
    /// [`StoreError::SuccessionRefused`] when it has another `start.json`; [`StoreError::AgentRetired`] when the successor was
    /// replaced or removed meanwhile; [`StoreError::AgentLimit`]; [`StoreError::NotFound`].
    pub async fn take_over(
        &self,
        granted: &Granted<TakeOverRecording>,
        taking: Taking,
        audit: AuditEvent,
    ) -> Result<TakeOver, StoreError> {
        let scope = Scope::of(granted);
        let account = scope.account.clone();
        let audit = move |taken: &TakeOver| {
            let how = match taken {
                TakeOver::Begins(_) => "taken over",
                TakeOver::Goes(_) => "again",
                TakeOver::Sealed(_) => "sealed before",
            };
            vec![audit.clone().with_more(how)]
        };
        self.transact_telling(account, Revision::Kept, audit, move |transaction| {
            Box::pin(async move {
                let Taking { token, start_sha256, successor, at } = taking;
                // Locked before the recording, as by every permission; and whoever has this lock is not retired meanwhile.
                agent_rows::lock(transaction, &scope.account, &successor).await?;
                let mut stored =
                    recording_rows::get_locked(transaction, &scope.account, scope.instance.as_ref(), &token)
                        .await?;
                let arrived = stream_rows::list(transaction, &token).await?;
                let held_before = *stored.recording.holder() == successor;
                let taken = TakeOver::decide(stored.recording, &arrived, start_sha256, &successor, at)?;
                match &taken {
                    TakeOver::Begins(recording) => {
                        if !held_before {
                            unclaimed::check_open_recordings(transaction, &scope.account, &successor, at)
                                .await?;
                        }
                        stored.recording = (**recording).clone();
                        apply::save(transaction, stored, at).await?;
                    }
                    TakeOver::Sealed(recording) => {
                        stored.recording = (**recording).clone();
                        apply::save(transaction, stored, at).await?;
                    }
                    TakeOver::Goes(_) => {}
                }
                Ok(taken)
            })
        })
        .await
    }
}
