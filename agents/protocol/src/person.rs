//! The messages between a recorder and the person's side of a session, on one byte stream, which is the same for a
//! local terminal, SSH and a browser. The person's side has the person's terminal or descriptors, and the command as
//! its child; the recorder has the other ends of what the command was given, and the spool.
//!
//! A message is its kind (one byte), the length of its payload (four bytes, big-endian) and the payload, at most
//! [`MAX_PAYLOAD_BYTES`]. A message of an unknown kind is ignored: it comes from a later version. Anything else that
//! does not match this description ends the stream.
//!
//! A slow reader must delay only what it reads: a full standard output must delay neither standard error nor the keys
//! that interrupt it. So both sides always read what comes, and each direction of bytes has its own window. Of one
//! output at most [`OUTPUT_WINDOW_BYTES`] are on their way until the person's side says that they were
//! [taken](FromPerson::Taken); of one input no more than the recorder has said to have [room](FromRecorder::Room) for.
//! What either side must keep in memory is bounded by that.

use recording::{ExitStatus, TerminalSize};

/// How many bytes of one output are on their way at most.
pub const OUTPUT_WINDOW_BYTES: usize = 64 * 1024;

/// How many bytes a payload has at most: a whole window, with what stands before the bytes.
pub const MAX_PAYLOAD_BYTES: usize = OUTPUT_WINDOW_BYTES + MOST_HEAD_BYTES;

const HEADER_BYTES: usize = 5;

/// One output of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// All of a pseudo-terminal.
    Terminal,
    /// Standard output if it is not a terminal, or both outputs in one.
    Output,
    /// A standard error that is not a terminal and is separate from standard output.
    ErrorOutput,
}

/// One input of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// What is typed, on the pseudo-terminal.
    Terminal,
    /// A standard input that is not a terminal.
    Input,
}

impl Input {
    /// How many bytes of it there is room for at most. A terminal keeps no more than 4 KiB that nobody has read; through
    /// a pipe whole files pass, and each window costs a message there and back.
    #[must_use]
    pub fn window_bytes(self) -> usize {
        match self {
            Input::Terminal => 4096,
            Input::Input => 64 * 1024,
        }
    }
}

/// A message of the person's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromPerson<'a> {
    /// Bytes for the command, no more than there is room for.
    Input(Input, &'a [u8]),
    /// The input has ended: a pipe is closed; on a terminal its end key is typed.
    InputEnd(Input),
    /// The number of further bytes of an output that were shown or passed on. While the command runs, one message may
    /// report many, as long as less than half a window is unreported; when the command has ended, or closed this
    /// output, they are reported at once.
    Taken(Output, u32),
    /// No more of an output is accepted: what follows is recorded, and goes nowhere.
    Dropped(Output),
    /// Nobody reads an output any more: the command must notice it as it would without a recorder.
    Broken(Output),
    /// The person's terminal has this size now.
    Size(TerminalSize),
    /// A signal for the process group in the foreground of the terminal, by its number.
    Signal(u8),
    /// The person's side is about to be suspended: the process group in the foreground is stopped first, and
    /// [`FromRecorder::Held`] says when.
    Suspended,
    /// It continues, and with it the process group in the foreground. [`FromRecorder::Continued`] says when the command may
    /// continue too.
    Resumed,
    /// The session must end soon: silent processes that the command left running are not waited for.
    Hurry,
    /// The command has ended.
    Exited(ExitStatus),
    /// The person's side cannot continue, for this reason.
    Failed(&'a str),
    /// A message of a later version.
    Unknown(u8),
}

/// What the recorder says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromRecorder<'a> {
    /// Bytes that are in the spool, and may be shown.
    Output(Output, &'a [u8]),
    /// The command has closed this output.
    OutputEnd(Output),
    /// There is room for so many more bytes of an input.
    Room(Input, u32),
    /// The command reads no more of an input.
    InputBroken(Input),
    /// Whether the command wants keys as they are typed, or unseen. (Sent if other processes use the person's terminal
    /// too.)
    WantsKeys(bool),
    /// The process group in the foreground is stopped.
    Held,
    /// Everything sent before [`FromPerson::Resumed`] is done, such as a new size, and the process group in the foreground
    /// continues.
    Continued,
    /// Everything that the command printed is in the spool and was accepted; the recording ends with the status that
    /// was reported.
    Ended,
    /// The session can no longer be recorded, for this reason, and must end.
    Lost(&'a str),
    /// The session was ended by somebody who may, for this reason.
    Stopped(&'a str),
    /// A text for the person, which the command did not print.
    Notice(&'a str),
    /// The recorder may not send this signal to this process group in the foreground of the terminal: the person's side
    /// does, whose processes they usually are.
    Signal {
        /// The process group.
        group: u32,
        /// The signal's number.
        signal: u8,
    },
    /// A message of a later version.
    Unknown(u8),
}

/// The bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// A payload would be longer than is allowed.
    #[error("a message of kind {kind} claims {length} bytes, and may have {MAX_PAYLOAD_BYTES}")]
    TooLong {
        /// The kind.
        kind: u8,
        /// The length that it claims.
        length: u32,
    },
    /// A payload is not one of its kind.
    #[error("a message of kind {kind} has a payload that does not belong to that kind")]
    Payload {
        /// The kind.
        kind: u8,
    },
}

/// A message of one of the two sides.
pub trait Message<'a>: Sized {
    /// Reads a message of this kind.
    ///
    /// # Errors
    /// The payload is not one of that kind.
    fn decode(kind: u8, payload: &'a [u8]) -> Result<Self, BadMessage>;

    /// The kind, what stands before its bytes, and its bytes.
    fn parts(&self) -> (u8, Head, &'a [u8]);

    /// Appends the message. A payload that is too long is cut off: only texts for people can be.
    fn encode(&self, to: &mut Vec<u8>) {
        let (header, bytes) = self.header();
        to.extend_from_slice(header.as_bytes());
        to.extend_from_slice(bytes);
    }

    /// The message in two pieces, of which the second need not be copied.
    fn header(&self) -> (Header, &'a [u8]) {
        let (kind, head, bytes) = self.parts();
        let most = MAX_PAYLOAD_BYTES - head.length;
        let bytes = &bytes[..bytes.len().min(most)];
        let length = u32::try_from(head.length + bytes.len()).unwrap_or(u32::MAX);
        let mut header =
            Header { bytes: [0; HEADER_BYTES + MOST_HEAD_BYTES], length: HEADER_BYTES + head.length };
        header.bytes[0] = kind;
        header.bytes[1..HEADER_BYTES].copy_from_slice(&length.to_be_bytes());
        header.bytes[HEADER_BYTES..].copy_from_slice(&head.bytes);
        (header, bytes)
    }
}

const MOST_HEAD_BYTES: usize = 5;

/// The first few bytes of a payload.
#[derive(Debug, Clone, Copy, Default)]
pub struct Head {
    bytes: [u8; MOST_HEAD_BYTES],
    length: usize,
}

impl Head {
    fn of(parts: &[&[u8]]) -> Self {
        let mut head = Head::default();
        for byte in parts.iter().copied().flatten() {
            head.bytes[head.length] = *byte;
            head.length += 1;
        }
        head
    }
}

/// A message up to where its bytes begin.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    bytes: [u8; HEADER_BYTES + MOST_HEAD_BYTES],
    length: usize,
}

impl Header {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Output {
    const fn code(self) -> u8 {
        match self {
            Output::Terminal => 0,
            Output::Output => 1,
            Output::ErrorOutput => 2,
        }
    }

    const fn of(code: u8) -> Option<Self> {
        match code {
            0 => Some(Output::Terminal),
            1 => Some(Output::Output),
            2 => Some(Output::ErrorOutput),
            _ => None,
        }
    }
}

impl Input {
    const fn code(self) -> u8 {
        match self {
            Input::Terminal => 0,
            Input::Input => 1,
        }
    }

    const fn of(code: u8) -> Option<Self> {
        match code {
            0 => Some(Input::Terminal),
            1 => Some(Input::Input),
            _ => None,
        }
    }
}

/// A way, and what stands behind it.
fn way<T>(payload: &[u8], of: impl Fn(u8) -> Option<T>) -> Option<(T, &[u8])> {
    let (code, rest) = payload.split_first()?;
    Some((of(*code)?, rest))
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

fn nothing<T>(message: T, rest: &[u8]) -> Option<T> {
    rest.is_empty().then_some(message)
}

impl<'a> Message<'a> for FromPerson<'a> {
    fn decode(kind: u8, payload: &'a [u8]) -> Result<Self, BadMessage> {
        let output = || way(payload, Output::of);
        let input = || way(payload, Input::of);
        let message = match kind {
            2 => input().map(|(input, bytes)| FromPerson::Input(input, bytes)),
            3 => input().and_then(|(input, rest)| nothing(FromPerson::InputEnd(input), rest)),
            4 => output().and_then(|(output, bytes)| Some(FromPerson::Taken(output, number(bytes)?))),
            5 => output().and_then(|(output, rest)| nothing(FromPerson::Dropped(output), rest)),
            6 => output().and_then(|(output, rest)| nothing(FromPerson::Broken(output), rest)),
            7 => match *payload {
                [c1, c0, r1, r0] => Some(FromPerson::Size(TerminalSize {
                    columns: u16::from_be_bytes([c1, c0]),
                    rows: u16::from_be_bytes([r1, r0]),
                })),
                _ => None,
            },
            8 => match *payload {
                [signal] => Some(FromPerson::Signal(signal)),
                _ => None,
            },
            9 => nothing(FromPerson::Suspended, payload),
            10 => nothing(FromPerson::Resumed, payload),
            11 => nothing(FromPerson::Hurry, payload),
            12 => match *payload {
                [0, code] => Some(FromPerson::Exited(ExitStatus::Code(code))),
                [1, signal] => Some(FromPerson::Exited(ExitStatus::Signal(signal))),
                _ => None,
            },
            13 => std::str::from_utf8(payload).ok().map(FromPerson::Failed),
            _ => Some(FromPerson::Unknown(kind)),
        };
        message.ok_or(BadMessage::Payload { kind })
    }

    fn parts(&self) -> (u8, Head, &'a [u8]) {
        let none: &[u8] = &[];
        match self {
            FromPerson::Input(input, bytes) => (2, Head::of(&[&[input.code()]]), bytes),
            FromPerson::InputEnd(input) => (3, Head::of(&[&[input.code()]]), none),
            FromPerson::Taken(output, bytes) => {
                (4, Head::of(&[&[output.code()], &bytes.to_be_bytes()]), none)
            }
            FromPerson::Dropped(output) => (5, Head::of(&[&[output.code()]]), none),
            FromPerson::Broken(output) => (6, Head::of(&[&[output.code()]]), none),
            FromPerson::Size(size) => {
                (7, Head::of(&[&size.columns.to_be_bytes(), &size.rows.to_be_bytes()]), none)
            }
            FromPerson::Signal(signal) => (8, Head::of(&[&[*signal]]), none),
            FromPerson::Suspended => (9, Head::default(), none),
            FromPerson::Resumed => (10, Head::default(), none),
            FromPerson::Hurry => (11, Head::default(), none),
            FromPerson::Exited(ExitStatus::Code(code)) => (12, Head::of(&[&[0, *code]]), none),
            FromPerson::Exited(ExitStatus::Signal(signal)) => (12, Head::of(&[&[1, *signal]]), none),
            FromPerson::Failed(reason) => (13, Head::default(), whole_characters(reason)),
            FromPerson::Unknown(kind) => (*kind, Head::default(), none),
        }
    }
}

impl<'a> Message<'a> for FromRecorder<'a> {
    fn decode(kind: u8, payload: &'a [u8]) -> Result<Self, BadMessage> {
        let output = || way(payload, Output::of);
        let input = || way(payload, Input::of);
        let message = match kind {
            1 => output().map(|(output, bytes)| FromRecorder::Output(output, bytes)),
            2 => output().and_then(|(output, rest)| nothing(FromRecorder::OutputEnd(output), rest)),
            3 => input().and_then(|(input, bytes)| Some(FromRecorder::Room(input, number(bytes)?))),
            4 => input().and_then(|(input, rest)| nothing(FromRecorder::InputBroken(input), rest)),
            5 => match *payload {
                [0] => Some(FromRecorder::WantsKeys(false)),
                [1] => Some(FromRecorder::WantsKeys(true)),
                _ => None,
            },
            6 => nothing(FromRecorder::Held, payload),
            7 => nothing(FromRecorder::Ended, payload),
            8 => std::str::from_utf8(payload).ok().map(FromRecorder::Lost),
            9 => nothing(FromRecorder::Continued, payload),
            10 => std::str::from_utf8(payload).ok().map(FromRecorder::Stopped),
            11 => std::str::from_utf8(payload).ok().map(FromRecorder::Notice),
            12 => payload.split_last().and_then(|(signal, group)| {
                Some(FromRecorder::Signal { group: number(group)?, signal: *signal })
            }),
            _ => Some(FromRecorder::Unknown(kind)),
        };
        message.ok_or(BadMessage::Payload { kind })
    }

    fn parts(&self) -> (u8, Head, &'a [u8]) {
        let none: &[u8] = &[];
        match self {
            FromRecorder::Output(output, bytes) => (1, Head::of(&[&[output.code()]]), bytes),
            FromRecorder::OutputEnd(output) => (2, Head::of(&[&[output.code()]]), none),
            FromRecorder::Room(input, bytes) => (3, Head::of(&[&[input.code()], &bytes.to_be_bytes()]), none),
            FromRecorder::InputBroken(input) => (4, Head::of(&[&[input.code()]]), none),
            FromRecorder::WantsKeys(wants) => (5, Head::of(&[&[u8::from(*wants)]]), none),
            FromRecorder::Held => (6, Head::default(), none),
            FromRecorder::Ended => (7, Head::default(), none),
            FromRecorder::Lost(reason) => (8, Head::default(), whole_characters(reason)),
            FromRecorder::Continued => (9, Head::default(), none),
            FromRecorder::Stopped(reason) => (10, Head::default(), whole_characters(reason)),
            FromRecorder::Notice(text) => (11, Head::default(), whole_characters(text)),
            FromRecorder::Signal { group, signal } => {
                (12, Head::of(&[&group.to_be_bytes(), &[*signal]]), none)
            }
            FromRecorder::Unknown(kind) => (*kind, Head::default(), none),
        }
    }
}

/// As much of a text as fits.
fn whole_characters(text: &str) -> &[u8] {
    let mut end = text.len().min(MAX_PAYLOAD_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text.as_bytes()[..end]
}

/// Takes messages out of a stream of bytes, however it is split.
#[derive(Debug)]
pub struct Decoder {
    buffer: Box<[u8]>,
    /// What of the buffer is received and not yet given out.
    start: usize,
    end: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder { buffer: vec![0; 2 * (HEADER_BYTES + MAX_PAYLOAD_BYTES)].into(), start: 0, end: 0 }
    }
}

impl Decoder {
    /// Where to receive to. There is always some room once [`Decoder::next`] gave nothing.
    pub fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.buffer[self.end..]
    }

    /// Notes that so much was received.
    pub fn received(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.buffer.len());
    }

    /// The next message that is whole.
    ///
    /// # Errors
    /// What was received is no message, and nothing behind it can be understood.
    pub fn next<'a, M: Message<'a>>(&'a mut self) -> Result<Option<M>, BadMessage> {
        let received = &self.buffer[self.start..self.end];
        let Some((header, rest)) = received.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let [kind, length @ ..] = *header;
        let length = u32::from_be_bytes(length);
        let payload_bytes = usize::try_from(length).unwrap_or(usize::MAX);
        if payload_bytes > MAX_PAYLOAD_BYTES {
            return Err(BadMessage::TooLong { kind, length });
        }
        if rest.len() < payload_bytes {
            return Ok(None);
        }
        let payload = self.start + HEADER_BYTES;
        self.start = payload + payload_bytes;
        M::decode(kind, &self.buffer[payload..payload + payload_bytes]).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A message's kind and payload, mostly one that there is.
    fn frame() -> impl Strategy<Value = (u8, Vec<u8>)> {
        let way = (0..3_u8, vec(any::<u8>(), 0..200)).prop_map(|(way, bytes)| [vec![way], bytes].concat());
        let payload = prop_oneof![vec(any::<u8>(), 0..6), way, "[ -~]{0,40}".prop_map(String::into_bytes)];
        (prop_oneof![1..14_u8, any::<u8>()], payload)
    }

    fn bytes_of((kind, payload): &(u8, Vec<u8>)) -> Vec<u8> {
        [&[*kind], &u32::try_from(payload.len()).unwrap().to_be_bytes()[..], payload].concat()
    }

    /// Everything that a stream of bytes says to a side, given in pieces: each message encoded anew, and what ends it.
    fn heard<M: for<'a> Sides<'a>>(stream: &[u8], pieces: &[usize]) -> (Vec<Vec<u8>>, Option<BadMessage>) {
        let mut decoder = Decoder::default();
        let mut messages = Vec::new();
        let mut rest = stream;
        let mut pieces = pieces.iter().copied().chain(std::iter::repeat(usize::MAX));
        loop {
            loop {
                match M::next_of(&mut decoder) {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(bad) => return (messages, Some(bad)),
                }
            }
            if rest.is_empty() {
                return (messages, None);
            }
            let room = decoder.room();
            let piece = pieces.next().unwrap().min(rest.len()).min(room.len());
            assert!(!room.is_empty(), "there is room for what makes the message whole");
            room[..piece].copy_from_slice(&rest[..piece]);
            decoder.received(piece);
            rest = &rest[piece..];
        }
    }

    /// One side's messages, encoded anew.
    trait Sides<'a> {
        fn next_of(decoder: &'a mut Decoder) -> Result<Option<Vec<u8>>, BadMessage>;
    }

    struct Person;
    struct Recorder;

    fn anew<'a>(message: &impl Message<'a>) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        bytes
    }

    impl<'a> Sides<'a> for Person {
        fn next_of(decoder: &'a mut Decoder) -> Result<Option<Vec<u8>>, BadMessage> {
            Ok(decoder.next::<FromPerson<'_>>()?.map(|message| anew(&message)))
        }
    }

    impl<'a> Sides<'a> for Recorder {
        fn next_of(decoder: &'a mut Decoder) -> Result<Option<Vec<u8>>, BadMessage> {
            Ok(decoder.next::<FromRecorder<'_>>()?.map(|message| anew(&message)))
        }
    }

    proptest! {
        /// What is understood at all means one thing alone, however the bytes are split; what is of an unknown kind is passed over.
        #[test]
        fn messages_are_the_same_however_they_are_split(
            frames in vec(frame(), 0..20), pieces in vec(1..50_usize, 0..200),
        ) {
            let stream: Vec<u8> = frames.iter().flat_map(bytes_of).collect();
            for (whole, split, kinds) in [
                (heard::<Person>(&stream, &[]), heard::<Person>(&stream, &pieces), 2..=13),
                (heard::<Recorder>(&stream, &[]), heard::<Recorder>(&stream, &pieces), 1..=12),
            ] {
                prop_assert_eq!(&whole, &split);
                let (messages, bad) = whole;
                prop_assert_eq!(messages.len() == frames.len(), bad.is_none());
                for (message, frame) in messages.iter().zip(&frames) {
                    if kinds.contains(&frame.0) {
                        prop_assert_eq!(message, &bytes_of(frame));
                    } else {
                        prop_assert_eq!(message, &bytes_of(&(frame.0, vec![])));
                    }
                }
            }
        }

        /// Any bytes at all are heard without a panic and without more memory.
        #[test]
        fn anything_can_be_received(stream in vec(any::<u8>(), 0..500), pieces in vec(1..50_usize, 0..50)) {
            prop_assert_eq!(heard::<Person>(&stream, &[]), heard::<Person>(&stream, &pieces));
            prop_assert_eq!(heard::<Recorder>(&stream, &[]), heard::<Recorder>(&stream, &pieces));
        }

        #[test]
        fn no_length_beyond_the_longest_is_waited_for(kind in any::<u8>(), more in 1..=u32::MAX / 2) {
            let length = u32::try_from(MAX_PAYLOAD_BYTES).unwrap() + more;
            let stream = [&[kind], &length.to_be_bytes()[..]].concat();
            let expected = (vec![], Some(BadMessage::TooLong { kind, length }));
            prop_assert_eq!(heard::<Person>(&stream, &[]), expected);
        }
    }

    #[test]
    fn the_longest_payload_passes_and_a_text_is_cut_between_characters() {
        let bytes = vec![7; MAX_PAYLOAD_BYTES - 1];
        let message = FromRecorder::Output(Output::Output, &bytes);
        assert_eq!(heard::<Recorder>(&anew(&message).repeat(3), &[]).0, vec![anew(&message); 3]);
        let text = "\u{e4}".repeat(MAX_PAYLOAD_BYTES);
        let told = anew(&FromRecorder::Lost(&text[..text.len() - 2]));
        assert_eq!(heard::<Recorder>(&told, &[]), (vec![told.clone()], None));
        assert_eq!(told.len(), HEADER_BYTES + MAX_PAYLOAD_BYTES / 2 * 2);
    }
}
