//! Forgets idle callers, so that the counts do not grow for ever.

use std::time::Duration;

use super::runner::Job;
use crate::Hansard;

pub(super) struct ForgetIdle;

impl Job for ForgetIdle {
    const NAME: &'static str = "forget idle callers";
    const EVERY: Duration = Duration::from_secs(30);

    async fn run(&mut self, hansard: &Hansard) {
        hansard.limits.throttle.forget_the_idle();
    }
}
