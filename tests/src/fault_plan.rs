//! Which faults requests meet: chosen by a seed, so that a plan that has found a bug finds it again.

use std::time::Duration;

use crate::fault_proxy::Step;

/// What happens to a request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It passes, and so does its reply.
    None,
    /// It passes late.
    Delay(Duration),
    /// The connection is cut when so many bytes of the request have passed.
    CutRequest(usize),
    /// The control plane does what it is asked; the connection is cut when so many bytes of the reply have passed.
    CutReply(usize),
    /// Request and reply pass at so many bytes per second.
    Slow(u32),
    /// Half open: the connection is accepted, and then nothing happens for so long.
    Silent(Duration),
    /// Half open in one direction: the control plane does what it is asked, and nothing of its reply arrives.
    DeadReply(Duration),
    /// The control plane does not hear of it; a gateway answers with this status.
    Status(u16),
    /// The control plane does what it is asked; a gateway answers with this status.
    StatusAfterwards(u16),
    /// A link is cut when so many bytes of either direction have passed.
    LinkCut {
        /// Bytes from the agent.
        from_agent: usize,
        /// Bytes from the control plane.
        from_server: usize,
    },
    /// One direction of a link is dead, and nobody is told.
    LinkHalfOpen {
        /// Whether it is the agent that is not heard.
        from_agent: bool,
    },
}

/// Numbers that look random and are the same for the same seed.
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    /// The numbers of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number (splitmix64).
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number below this one, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next_number() % limit as u64).expect("it is below a usize")
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// The faults of one run. Which one a request meets depends on the seed, the step, and how many requests of that step
/// came before, and not on what else happens meanwhile.
#[derive(Debug, Clone)]
pub struct FaultPlan {
    seed: u64,
    /// Of a hundred requests so many meet a fault.
    percent: usize,
    /// So many faults are still to come; then everything passes, so that a run ends.
    left: u32,
    /// How long half-open connections last.
    silence: Duration,
    /// Instead of all this: the next request of each of these steps meets this fault.
    only: Option<(Vec<Step>, Fault)>,
}

impl FaultPlan {
    /// The plan of a seed, with so many faults at the most.
    #[must_use]
    pub fn of_seed(seed: u64, most: u32) -> Self {
        Self { seed, percent: 40, left: most, silence: Duration::from_millis(700), only: None }
    }

    /// The plan in which the first request of each of these steps meets this fault, and all others pass.
    #[must_use]
    pub fn once_at(steps: &[Step], fault: Fault) -> Self {
        Self { only: Some((steps.to_vec(), fault)), ..Self::of_seed(0, 0) }
    }

    pub(crate) fn next(&mut self, step: Step, occurrence: u32) -> Fault {
        if let Some((steps, fault)) = &mut self.only {
            let meets = steps.iter().position(|of| *of == step);
            return meets.map_or(Fault::None, |place| {
                steps.swap_remove(place);
                *fault
            });
        }
        if self.left == 0 {
            return Fault::None;
        }
        let place = (step as u64) << 32 | u64::from(occurrence);
        let mut numbers = Seeded::new(self.seed ^ Seeded::new(place).next_number());
        if numbers.below(100) >= self.percent {
            return Fault::None;
        }
        self.left -= 1;
        let of_a_link = if step == Step::Link { 2 } else { 0 };
        match numbers.below(8 + of_a_link) {
            0 => Fault::Delay(Duration::from_millis(numbers.below(400) as u64)),
            1 => Fault::CutRequest(numbers.below(3000)),
            2 => Fault::CutReply(numbers.below(400)),
            3 => Fault::Slow(numbers.one_of(&[100_000, 300_000, 1_000_000])),
            4 => Fault::Silent(self.silence),
            5 => Fault::DeadReply(self.silence),
            6 => Fault::Status(numbers.one_of(&[500, 502, 503])),
            7 => Fault::StatusAfterwards(numbers.one_of(&[500, 502, 503])),
            8 => Fault::LinkCut { from_agent: numbers.below(2000), from_server: numbers.below(2000) },
            _ => Fault::LinkHalfOpen { from_agent: numbers.below(2) == 0 },
        }
    }
}
