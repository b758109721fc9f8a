//! Removes expired nonces, join tokens and sessions of roles, for all accounts together.

use std::time::Duration;

use super::runner::Job;
use crate::Hansard;
use crate::errors::chain_of;

pub(super) struct RemoveLapsed;

impl Job for RemoveLapsed {
    const NAME: &'static str = "remove what has lapsed";
    const EVERY: Duration = Duration::from_secs(30);

    async fn run(&mut self, hansard: &Hansard) {
        match hansard.store.remove_lapsed(hansard.now()).await {
            Ok(0) => {}
            Ok(removed) => tracing::debug!(removed, "expired rows were removed"),
            Err(error) => tracing::warn!(chain = %chain_of(&error), "expired rows could not be removed"),
        }
    }
}
