//! The shell that runs a database server and stops it when this process ends.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;

/// The shell. It reads its standard input, and ends with it.
#[derive(Debug)]
pub(crate) struct Supervisor {
    shell: Child,
    // A lock only so that a server can be a static.
    said: Mutex<BufReader<ChildStdout>>,
}

impl Supervisor {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut shell = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell (and setpriv, as root) runs");
        let said = Mutex::new(BufReader::new(shell.stdout.take().expect("it was piped")));
        Self { shell, said }
    }

    /// The next line that it prints; empty when it has ended.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let said = self.said.get_mut().expect("nobody panics with it");
        said.read_line(&mut line).expect("the shell prints text");
        line.trim().to_owned()
    }

    /// Lets it run one of its functions to the end.
    pub(crate) fn run(&mut self, function: &str) {
        let input = self.shell.stdin.as_mut().expect("it was piped");
        writeln!(input, "{function}").expect("the shell reads");
        assert_eq!(self.line(), function, "the shell has done it");
    }
}
