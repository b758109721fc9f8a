//! The format as its users see it: what is captured plays back, and what is damaged is reported.

mod damage;
mod document;
mod generated;
mod round_trip;
mod sealed;
mod verdicts;
