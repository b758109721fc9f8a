//! Builds the crate again when the embedded console changes: names of its files carry hashes, so that new ones
//! would go unnoticed.

// Cargo listens to a build script on its standard output.
#![allow(clippy::print_stdout)]

fn main() {
    println!("cargo::rerun-if-changed=../console/dist");
}
