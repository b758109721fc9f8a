//! Holding the output of a session whose delivery mode is `sync`, while what was shown is not acknowledged.
//!
//! Held means that neither the terminal nor a pipe is read: the command blocks once they are full. What is typed still goes
//! in, so that Ctrl-C ends what the person does not want to wait for; bytes through a pipe do not, so that an upload
//! pauses, too.

use std::time::{Duration, Instant};

use agent_protocol::capture::CaptureError;
use agent_protocol::person::{FromRecorder, Input};
use agent_protocol::recorder::AcknowledgedSpool;
use recording::FailurePolicy;

use super::{Recorder, lost, person_lost};
use crate::scribe::Scribe;
use crate::unacknowledged::{Delivery, Unacknowledged};

/// The delivery mode of a session.
pub(super) struct Holding {
    /// `None` under `async`.
    delivery: Option<Unacknowledged>,
    held: bool,
    /// The person was told that it is, and why.
    told: bool,
}

impl Holding {
    pub(super) fn new(delivery: Option<Unacknowledged>) -> Self {
        Holding { delivery, held: false, told: false }
    }

    /// Whether nothing may be shown now.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Whether bytes of this input go in.
    pub(super) fn lets_in(&self, input: Input) -> bool {
        !self.held || input == Input::Terminal
    }

    /// How long nothing changes by itself.
    pub(super) fn until_change(&self, now: Instant) -> Option<Duration> {
        self.delivery.as_ref().and_then(|delivery| delivery.until_change(now))
    }

    /// Notes what was written to the spools.
    pub(super) fn note_written(&mut self, scribe: &Scribe) {
        if let Some(delivery) = &mut self.delivery {
            delivery.note_written(scribe.written(), Instant::now());
        }
    }

    /// Takes what the agent says of the control plane's acknowledgements.
    pub(super) fn acknowledge(&mut self, acknowledged: &[AcknowledgedSpool]) -> Result<(), String> {
        let delivery = self.delivery.as_mut();
        let delivery = delivery.ok_or("this session does not wait for acknowledgements")?;
        delivery.acknowledge(acknowledged)
    }
}

impl Recorder {
    /// Holds the output, releases it, or gives up, as the delivery mode says.
    pub(super) fn mind_delivery(&mut self, scribe: &mut Scribe) -> Result<(), CaptureError> {
        if self.person_is_gone {
            // Nothing more is shown to anybody.
            self.holding = Holding::new(None);
        }
        self.holding.note_written(scribe);
        let Some(delivery) = &mut self.holding.delivery else { return Ok(()) };
        let now = delivery.look(Instant::now());
        let (bytes, hold_after, longest) = (delivery.bytes(), delivery.hold_after(), delivery.longest());
        self.holding.held = now != Delivery::InTime;
        match (now, self.holding.told) {
            (Delivery::InTime, false) | (Delivery::Late, true) | (Delivery::Much, _) => Ok(()),
            (Delivery::InTime, true) => {
                self.holding.told = false;
                self.tell("the control plane has stored what was shown: output goes on")
            }
            (Delivery::Late, false) => {
                self.holding.told = true;
                self.tell(&format!(
                    "output is held: the control plane has not stored what was shown more than {hold_after:?} ago \
                     (DeliveryMode sync)"
                ))
            }
            (Delivery::GivenUp, _) if scribe.policy() == FailurePolicy::BestEffort => {
                self.holding = Holding::new(None);
                let reason = format!(
                    "the control plane did not acknowledge {bytes} bytes of the spool within {longest:?}; the session went on \
                     as if its delivery mode were async"
                );
                scribe.not_acknowledged(reason)?;
                self.tell(&format!(
                    "output goes on, although the control plane has not stored what was shown within {longest:?} \
                     (DeliveryMode sync, FailurePolicy best_effort)"
                ))
            }
            (Delivery::GivenUp, _) => Err(lost(format_args!(
                "the control plane did not acknowledge {bytes} bytes of the spool within {longest:?} (DeliveryMode sync)"
            ))),
        }
    }

    /// Puts off that output counts as silent or overdue: nobody reads it.
    pub(super) fn put_off_end_of_output(&mut self) {
        let now = Instant::now();
        self.channels.iter_mut().for_each(|channel| channel.hold(now));
    }

    fn tell(&mut self, text: &str) -> Result<(), CaptureError> {
        self.person.say(&FromRecorder::Notice(text)).map_err(person_lost)
    }
}
