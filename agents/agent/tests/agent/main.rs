//! The agent program itself: the real binary, real pseudo-terminals, real shells. Only the control plane is
//! simulated, as strictly as the Agent API requires, so that the agent can be tested without a server; the
//! whole-system tests use the real one.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests and what serves only them")]

mod append_only;
mod bench;
mod configured;
mod control;
mod control_plane;
mod delivery_mode;
mod disk;
mod doctor;
mod ending_signals;
mod enrolment;
mod faults;
mod http;
mod job_control;
mod ledger;
mod limits;
mod live_sessions;
mod long_commands;
mod multiplexers;
mod neighbours;
mod outer_terminal;
mod person;
mod pipes;
mod quarantine;
mod reach;
mod service;
mod sessions;
mod settings;
mod shell;
mod ssh;
mod ssh_host;
mod succession;
mod tampering;
mod torn_spools;
mod transfers;
mod upgrade;
mod waiting;
mod ways_round;
