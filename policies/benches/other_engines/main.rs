//! Nanoseconds per decision beside other engines, on the same question in one run:
//! `cargo bench -p policies --features other-engines`.
//!
//! Other work on the machine would change a wall clock, so the clock is the CPU time of this thread. Each engine is
//! asked in turn, five rounds long, and the medians are printed: read the ratios rather than the numbers. Before
//! anything is timed, every engine has to answer Allow from the one address and not Allow from the other.

#![allow(clippy::print_stdout, reason = "it is what this bench is for")]

mod cedar;
mod iam;
mod rows;
#[path = "../workload/mod.rs"]
mod workload;

use std::hint::black_box;
use std::time::Duration;

use policies::evaluate;
use rustix::time::{ClockId, clock_gettime};

use workload::{ADDRESSES, STATEMENTS};

const ROUNDS: usize = 5;

/// So much CPU time one round of one engine takes.
const ROUND: Duration = Duration::from_millis(100);

/// An engine with its policies: whether the request from an address is allowed.
pub(crate) struct Engine {
    name: &'static str,
    /// One closure for each of [`ADDRESSES`], with everything prepared that the engine lets one prepare.
    decide: [Box<dyn Fn() -> bool>; 2],
}

impl Engine {
    fn new<F: Fn() -> bool + 'static>(name: &'static str, prepare: impl Fn(&'static str) -> F) -> Self {
        Self { name, decide: ADDRESSES.map(|address| Box::new(prepare(address)) as Box<dyn Fn() -> bool>) }
    }
}

fn ours(statements: usize) -> Engine {
    Engine::new("Hansard", |address| {
        let (layers, context) = (workload::ram::layers(statements), workload::ram::context(address));
        move || evaluate(black_box(&layers), black_box(&workload::ram::request(&context))).is_allow()
    })
}

fn engines(statements: usize) -> Vec<Engine> {
    vec![
        ours(statements),
        cedar::request_prepared(statements),
        cedar::request_built(statements),
        iam::engine(statements),
        rows::wildcards_in_rust(statements),
        rows::glob_match(statements),
    ]
}

fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).expect("less than a second"))
}

fn time(decide: &dyn Fn() -> bool, times: u32) -> Duration {
    let before = cpu_time();
    for _ in 0..times {
        black_box(decide());
    }
    cpu_time() - before
}

/// How often to ask, so that a round takes about [`ROUND`].
fn times(decide: &dyn Fn() -> bool) -> u32 {
    let mut times = 1;
    loop {
        let taken = time(decide, times);
        if taken >= ROUND / 10 {
            let wanted = f64::from(times) * ROUND.as_secs_f64() / taken.as_secs_f64();
            return (wanted as u32).max(1);
        }
        times *= 2;
    }
}

fn nanoseconds(decide: &dyn Fn() -> bool, times: u32) -> f64 {
    time(decide, times).as_secs_f64() * 1e9 / f64::from(times)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// For each engine, the medians for the two addresses.
fn measure(engines: &[Engine]) -> Vec<[f64; 2]> {
    let decisions: Vec<&dyn Fn() -> bool> =
        engines.iter().flat_map(|engine| &engine.decide).map(|decide| &**decide).collect();
    let times: Vec<u32> = decisions.iter().map(|decide| times(*decide)).collect();
    let mut rounds = vec![Vec::new(); decisions.len()];
    for _ in 0..ROUNDS {
        for (place, decide) in decisions.iter().enumerate() {
            rounds[place].push(nanoseconds(*decide, times[place]));
        }
    }
    let medians: Vec<f64> = rounds.into_iter().map(median).collect();
    medians.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect()
}

fn main() {
    println!(
        "nanoseconds of CPU per decision, medians of {ROUNDS} rounds, and how many times as long as ours"
    );
    for statements in STATEMENTS {
        let engines = engines(statements);
        for Engine { name, decide: [inside, outside] } in &engines {
            assert!(inside(), "{name} has to allow {}", ADDRESSES[0]);
            assert!(!outside(), "{name} must not allow {}", ADDRESSES[1]);
        }
        let medians = measure(&engines);
        println!("\n{:<42} {:>24} {:>24}", format!("{statements} statements"), "allowed", "not allowed");
        for (engine, measured) in engines.iter().zip(&medians) {
            let [allowed, refused] = [0, 1].map(|place| {
                format!("{:>14.0} {:>8.1}x", measured[place], measured[place] / medians[0][place])
            });
            println!("{:<42} {allowed} {refused}", engine.name);
        }
    }
}
