//! Compares this replica's clock with the database's.

use std::time::Duration;

use super::runner::Job;
use crate::Hansard;
use crate::clocks::{Clocks, apart};

pub(super) struct CompareClocks;

impl Job for CompareClocks {
    const NAME: &'static str = "compare this machine's clock with the database's";
    const EVERY: Duration = Duration::from_secs(5);
    const GIVES_UP: bool = true;

    async fn run(&mut self, hansard: &Hansard) {
        if !hansard.settings.compares_clocks {
            return;
        }
        let before = hansard.now();
        let database = match hansard.store.clock().await {
            Ok(Some(database)) => database,
            // With a file there is no other clock. While the database does not answer, the last comparison stands.
            Ok(None) | Err(_) => return,
        };
        let apart = apart(before, database, hansard.now());
        match hansard.compared_clocks.now(apart.into()) {
            None => {}
            Some(Clocks::Agree) => tracing::info!("this machine's clock agrees with the database's again"),
            Some(Clocks::Differ) => tracing::warn!(
                ?apart,
                "this machine's clock and the database's differ; beyond 30 s this replica answers nothing: set both \
                 by a time server"
            ),
            Some(Clocks::TooFarApart) => tracing::error!(
                ?apart,
                "this machine's clock and the database's are too far apart; calls are refused until both are set by \
                 a time server"
            ),
        }
    }
}
