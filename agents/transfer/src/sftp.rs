//! The SSH file transfer protocol, as OpenSSH's server speaks it: version 3, with its extensions, and the framing of versions
//! up to 6. Packets are followed in any pieces; the content of files is hashed as it passes and kept only while it comes before
//! what stands before it in the file.

mod content;
mod fields;
mod replies;
mod requests;
mod session;

use recording::events::fact::{Fact, Side};

use crate::{Taken, Watching};
use session::Session;

/// The longest packet that OpenSSH's server takes or sends.
const LONGEST_PACKET: usize = 256 * 1024;
const LENGTH_BYTES: usize = 4;

/// What is wrong with a packet.
type Wrong = &'static str;

/// One direction: where in a packet it stands.
#[derive(Default)]
struct Packets {
    /// The packet's length and what of the packet is needed to know what it is; kept until that is whole.
    head: Vec<u8>,
    state: State,
}

#[derive(Default, Clone, Copy)]
enum State {
    /// In the length, or in what is needed.
    #[default]
    Head,
    /// In bytes that belong to a file. Others follow that are passed over.
    Content { left: usize, pass_over: usize },
    /// In bytes that say nothing that is wanted.
    PassOver { left: usize },
}

/// Watches a session with an SFTP server.
pub(crate) struct Sftp {
    requests: Packets,
    replies: Packets,
    session: Session,
}

impl Sftp {
    pub(crate) fn new() -> Self {
        Sftp { requests: Packets::default(), replies: Packets::default(), session: Session::new() }
    }
}

impl Packets {
    /// Takes a piece. An error says how much of the piece was taken, and leaves what was not understood in `head`.
    fn take(
        &mut self,
        session: &mut Session,
        side: Side,
        bytes: &[u8],
        facts: &mut Vec<Fact>,
    ) -> Result<(), (usize, Wrong)> {
        let mut rest = bytes;
        loop {
            match self.state {
                State::Head => {
                    let wanted = self.wanted(session, side).map_err(|why| (bytes.len() - rest.len(), why))?;
                    if self.head.len() < wanted {
                        if rest.is_empty() {
                            return Ok(());
                        }
                        let taken = rest.len().min(wanted - self.head.len());
                        self.head.extend_from_slice(&rest[..taken]);
                        rest = &rest[taken..];
                        continue;
                    }
                    let length = self.length() - (wanted - LENGTH_BYTES);
                    let packet = &self.head[LENGTH_BYTES..];
                    let content = match side {
                        Side::Client => session.request(packet, length, facts),
                        Side::Command => session.reply(packet, length, facts),
                    }
                    .map_err(|why| (bytes.len() - rest.len(), why))?;
                    self.head.clear();
                    // A long path does not keep its memory.
                    self.head.shrink_to(1024);
                    self.state = State::Content { left: content, pass_over: length - content };
                }
                State::Content { left: 0, pass_over } => {
                    session.content_ends(side, facts);
                    self.state = State::PassOver { left: pass_over };
                }
                State::PassOver { left: 0 } => self.state = State::Head,
                State::Content { .. } | State::PassOver { .. } if rest.is_empty() => return Ok(()),
                State::Content { left, pass_over } => {
                    let taken = left.min(rest.len());
                    session.content(side, &rest[..taken]);
                    rest = &rest[taken..];
                    self.state = State::Content { left: left - taken, pass_over };
                }
                State::PassOver { left } => {
                    let taken = left.min(rest.len());
                    rest = &rest[taken..];
                    self.state = State::PassOver { left: left - taken };
                }
            }
        }
    }

    /// The packet's length, once it is there.
    fn length(&self) -> usize {
        self.head.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize)
    }

    /// How many bytes of length and packet are needed next.
    fn wanted(&self, session: &Session, side: Side) -> Result<usize, Wrong> {
        if self.head.len() < LENGTH_BYTES {
            return Ok(LENGTH_BYTES);
        }
        let length = self.length();
        if length == 0 {
            return Err("a packet is empty");
        }
        if length > LONGEST_PACKET {
            return Err("a packet is longer than any");
        }
        let packet = &self.head[LENGTH_BYTES..];
        let wanted = match side {
            Side::Client => session.wanted_of_request(packet, length),
            Side::Command => session.wanted_of_reply(packet, length),
        }?;
        if wanted > length {
            return Err("a packet is shorter than what it says");
        }
        Ok(LENGTH_BYTES + wanted)
    }
}

impl Watching for Sftp {
    fn take(&mut self, side: Side, bytes: &[u8], facts: &mut Vec<Fact>) -> Taken {
        let packets = match side {
            Side::Client => &mut self.requests,
            Side::Command => &mut self.replies,
        };
        match packets.take(&mut self.session, side, bytes, facts) {
            Ok(()) => Taken::All,
            Err((consumed, why)) => Taken::not_understood(consumed, why),
        }
    }

    fn held(&self, side: Side) -> &[u8] {
        match side {
            Side::Client => &self.requests.head,
            Side::Command => &self.replies.head,
        }
    }

    fn end(&mut self, facts: &mut Vec<Fact>) {
        self.session.end(facts);
    }

    fn files(&self) -> u64 {
        self.session.files()
    }
}
