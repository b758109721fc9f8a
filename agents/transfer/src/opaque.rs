//! rsync and git: what they say to each other is counted and hashed, but not taken apart. Only its outer form is looked at, so that
//! a program that speaks something else is noticed.

use recording::events::fact::{Fact, Side};

use crate::{Taken, Watching};

/// The versions of rsync's protocol there have been since 1998, and some to come.
const RSYNC_VERSIONS: std::ops::RangeInclusive<u32> = 20..=99;
/// The longest packet line of git.
const LONGEST_PACKET_LINE: usize = 65_520;

pub(crate) struct Opaque {
    form: Form,
    client: Vec<u8>,
    command: Vec<u8>,
    /// How much is left of what is passed over in the command's output; `None` where nothing is looked at any more.
    pass_over: Option<usize>,
    client_is_greeted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Each side begins with the version of the protocol, a number of four bytes, the lowest first.
    Rsync,
    /// The command's output is packet lines: four hexadecimal digits with the length, and so many bytes with them. A pack may
    /// follow for clients that do not want it in such lines.
    Git,
}

impl Opaque {
    pub(crate) fn rsync() -> Self {
        Self::new(Form::Rsync)
    }

    pub(crate) fn git() -> Self {
        Self::new(Form::Git)
    }

    fn new(form: Form) -> Self {
        Opaque {
            form,
            client: Vec::new(),
            command: Vec::new(),
            pass_over: Some(0),
            client_is_greeted: form == Form::Git,
        }
    }
}

/// Moves bytes to `head` until it has four; how many were moved.
fn fill(head: &mut Vec<u8>, bytes: &[u8]) -> usize {
    let moved = bytes.len().min(4 - head.len());
    head.extend_from_slice(&bytes[..moved]);
    moved
}

fn is_rsync_version(head: &[u8]) -> bool {
    head.try_into().is_ok_and(|head| RSYNC_VERSIONS.contains(&u32::from_le_bytes(head)))
}

/// How many bytes follow a packet line's length; `None` where it is none.
fn packet_line(head: &[u8]) -> Option<usize> {
    if !head.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    match usize::from_str_radix(std::str::from_utf8(head).ok()?, 16).ok()? {
        // Marks between lines.
        0..=2 => Some(0),
        length @ 4..=LONGEST_PACKET_LINE => Some(length - 4),
        _ => None,
    }
}

impl Watching for Opaque {
    fn take(&mut self, side: Side, bytes: &[u8], _facts: &mut Vec<Fact>) -> Taken {
        match side {
            Side::Client => {
                if self.client_is_greeted {
                    return Taken::All;
                }
                let consumed = fill(&mut self.client, bytes);
                if self.client.len() == 4 {
                    if !is_rsync_version(&self.client) {
                        return Taken::not_understood(consumed, "the client does not begin as rsync does");
                    }
                    self.client_is_greeted = true;
                    self.client.clear();
                }
                Taken::All
            }
            Side::Command => {
                let mut consumed = 0;
                while consumed < bytes.len() {
                    let Some(pass_over) = &mut self.pass_over else { return Taken::All };
                    if *pass_over > 0 {
                        let passed = (*pass_over).min(bytes.len() - consumed);
                        *pass_over -= passed;
                        consumed += passed;
                        continue;
                    }
                    consumed += fill(&mut self.command, &bytes[consumed..]);
                    if self.command.len() < 4 {
                        continue;
                    }
                    match self.form {
                        Form::Rsync if is_rsync_version(&self.command) => self.pass_over = None,
                        Form::Rsync => {
                            return Taken::not_understood(
                                consumed,
                                "the command does not begin as rsync does",
                            );
                        }
                        Form::Git if self.command == b"PACK" => self.pass_over = None,
                        Form::Git => match packet_line(&self.command) {
                            Some(length) => self.pass_over = Some(length),
                            None => return Taken::not_understood(consumed, "this is no packet line of git"),
                        },
                    }
                    self.command.clear();
                }
                Taken::All
            }
        }
    }

    fn held(&self, side: Side) -> &[u8] {
        match side {
            Side::Client => &self.client,
            Side::Command => &self.command,
        }
    }

    fn end(&mut self, _facts: &mut Vec<Fact>) {}

    fn files(&self) -> u64 {
        0
    }

    fn is_opaque(&self) -> bool {
        true
    }
}
