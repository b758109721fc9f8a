//! Load for `make bench`: signed calls of GetInstanceRecordConfig, or plain `GET /` where no key is named. Prints requests per
//! second, p50 and p99 in milliseconds, and how many were not answered with 200.
//!
//!     load 127.0.0.1:8080 CONNECTIONS SECONDS [ACCESS_KEY_ID ACCESS_KEY_SECRET [ACTION BODY]]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that is run by hand")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails may panic")]

use std::time::{Duration, Instant};

use domain::clock::{Clock as _, SystemClock};
use whole_system::load::{Caller, keep_busy};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (address, connections, seconds, rest) = match &arguments[..] {
        [address, connections, seconds, rest @ ..] => {
            (address.parse().unwrap(), connections.parse().unwrap(), seconds.parse().unwrap(), rest)
        }
        _ => {
            eprintln!(
                "usage: load ADDRESS CONNECTIONS SECONDS [ACCESS_KEY_ID ACCESS_KEY_SECRET [ACTION BODY]]"
            );
            std::process::exit(2);
        }
    };
    // Each run has nonces of its own.
    let run = format!("{}-{}", std::process::id(), SystemClock.now().as_millis());
    let (action, body) = match rest {
        [_, _, action, body] => ((*action).to_owned(), (*body).to_owned()),
        _ => ("GetInstanceRecordConfig".to_owned(), "InstanceId=i-bench1".to_owned()),
    };
    let make: Box<dyn Fn() -> Vec<u8>> = match rest {
        [id, secret, ..] => {
            let caller = Caller::new(address, id, secret, &run);
            Box::new(move || caller.request(&action, &body))
        }
        _ => Box::new(move || format!("GET / HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes()),
    };
    let (since, length) = (Instant::now(), Duration::from_secs(seconds));
    let exchanges = keep_busy(address, connections, make, move || since.elapsed() >= length);
    let elapsed = since.elapsed().as_secs_f64();
    let refused = exchanges.iter().filter(|exchange| exchange.status != 200).count();
    let mut took: Vec<Duration> = exchanges.iter().map(|exchange| exchange.took).collect();
    took.sort_unstable();
    let percentile = |of_hundred: usize| {
        took.get(took.len() * of_hundred / 100).map_or(f64::NAN, |took| took.as_secs_f64() * 1_000.0)
    };
    let rate = took.len() as f64 / elapsed;
    println!("{rate:.0} {:.3} {:.3} {refused} {}", percentile(50), percentile(99), took.len());
}
