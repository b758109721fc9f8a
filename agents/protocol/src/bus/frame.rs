//! The frames of channels, one in each binary message: the kind (1 byte), the channel (16 bytes), and what the kind says. Numbers are
//! big-endian; an offset counts the bytes of one way from the channel's beginning.

use super::{ChannelId, MOST_DATA_BYTES, Reset, ResetCode, ServiceName};

/// The most bytes of a reset's reason. An even number and characters of several bytes may leave it one shorter.
pub const MOST_REASON_BYTES: usize = 256;

/// The most bytes of a frame.
pub const MOST_FRAME_BYTES: usize = HEADER_BYTES + 8 + MOST_DATA_BYTES;

const HEADER_BYTES: usize = 1 + ChannelId::BYTES;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its channel.
    pub channel: ChannelId,
    /// What it says.
    pub body: FrameBody<'a>,
}

/// The content of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameBody<'a> {
    /// From the control plane: connect this channel to a service. It is repeated after each loss of the link until it
    /// is accepted.
    Open {
        /// How many bytes the control plane has room for.
        window: u32,
        /// The service.
        service: ServiceName,
    },
    /// From the agent: it is connected.
    Accept {
        /// How many bytes the agent has room for.
        window: u32,
    },
    /// Bytes, of which the first has this offset: 1 to [`MOST_DATA_BYTES`].
    Data {
        /// The offset.
        offset: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// All bytes before this offset are consumed: they need not be kept, and there is room for as many more.
    Consumed {
        /// The offset.
        offset: u64,
    },
    /// No byte follows those before this offset.
    Finish {
        /// The offset.
        offset: u64,
    },
    /// The channel has ended; everything under way is dropped.
    Reset(Reset),
    /// Where to continue after a loss. The control plane sends it first, with a greater attempt each time; the agent
    /// answers with the same attempt, and what the control plane receives before that belongs to an earlier one.
    Resume {
        /// The attempt, from 1.
        attempt: u32,
        /// All bytes before this offset have arrived.
        received: u64,
        /// All bytes before this offset are consumed.
        consumed: u64,
    },
    /// From the holder of the link to the agent: the opener of the channel is out of reach. It may return and resume.
    Detach,
    /// From the agent: both directions are finished, and all their bytes are consumed.
    Closed,
}

/// The bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// There is not even a header.
    #[error("a frame has at least {HEADER_BYTES} bytes")]
    Short,
    /// An unknown kind. (An agent announces in hello what later versions may send.)
    #[error("there is no frame of kind {0}")]
    Kind(u8),
    /// The content does not belong to the kind.
    #[error("a frame of kind {0} has content that does not belong to that kind")]
    Content(u8),
}

const OPEN: u8 = 1;
const ACCEPT: u8 = 2;
const DATA: u8 = 3;
const CONSUMED: u8 = 4;
const FINISH: u8 = 5;
const RESET: u8 = 6;
const RESUME: u8 = 7;
const DETACH: u8 = 8;
const CLOSED: u8 = 9;

impl<'a> Frame<'a> {
    /// Reads a frame.
    ///
    /// # Errors
    /// The bytes are no frame.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, BadFrame> {
        let (header, content) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(BadFrame::Short)?;
        let [kind, channel @ ..] = *header;
        let body = match kind {
            OPEN => open(content),
            ACCEPT => whole(content).map(|window| FrameBody::Accept { window: u32::from_be_bytes(window) }),
            DATA => data(content),
            CONSUMED => offset(content).map(|offset| FrameBody::Consumed { offset }),
            FINISH => offset(content).map(|offset| FrameBody::Finish { offset }),
            RESET => reset(content),
            RESUME => resume(content),
            DETACH => content.is_empty().then_some(FrameBody::Detach),
            CLOSED => content.is_empty().then_some(FrameBody::Closed),
            _ => return Err(BadFrame::Kind(kind)),
        };
        let body = body.ok_or(BadFrame::Content(kind))?;
        Ok(Self { channel: ChannelId::from_bytes(channel), body })
    }

    /// The frame as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let content = match &self.body {
            FrameBody::Data { bytes, .. } => 8 + bytes.len(),
            _ => 24,
        };
        let mut to = Vec::with_capacity(HEADER_BYTES + content);
        let mut header = |kind: u8| {
            to.push(kind);
            to.extend_from_slice(self.channel.as_bytes());
        };
        match &self.body {
            FrameBody::Open { window, service } => {
                header(OPEN);
                to.extend_from_slice(&window.to_be_bytes());
                to.extend_from_slice(service.as_str().as_bytes());
            }
            FrameBody::Accept { window } => {
                header(ACCEPT);
                to.extend_from_slice(&window.to_be_bytes());
            }
            FrameBody::Data { offset, bytes } => {
                header(DATA);
                to.extend_from_slice(&offset.to_be_bytes());
                to.extend_from_slice(bytes);
            }
            FrameBody::Consumed { offset } => {
                header(CONSUMED);
                to.extend_from_slice(&offset.to_be_bytes());
            }
            FrameBody::Finish { offset } => {
                header(FINISH);
                to.extend_from_slice(&offset.to_be_bytes());
            }
            FrameBody::Reset(reset) => {
                header(RESET);
                to.extend_from_slice(&reset.code.number().to_be_bytes());
                to.extend_from_slice(reset.reason.as_bytes());
            }
            FrameBody::Resume { attempt, received, consumed } => {
                header(RESUME);
                to.extend_from_slice(&attempt.to_be_bytes());
                to.extend_from_slice(&received.to_be_bytes());
                to.extend_from_slice(&consumed.to_be_bytes());
            }
            FrameBody::Detach => header(DETACH),
            FrameBody::Closed => header(CLOSED),
        }
        to
    }

    /// Appends these bytes of a channel to `last`, an encoded frame, if both are data without a gap between them and
    /// fit into one frame, so that a queue for a slow reader has few frames. Returns whether it did.
    pub fn join(&self, last: &mut Vec<u8>) -> bool {
        let FrameBody::Data { offset, bytes } = self.body else { return false };
        let joined = match Frame::decode(last) {
            Ok(Frame { channel, body: FrameBody::Data { offset: first, bytes: before } }) => {
                let (length, follows) = (before.len(), first.checked_add(before.len() as u64));
                channel == self.channel && follows == Some(offset) && length + bytes.len() <= MOST_DATA_BYTES
            }
            _ => false,
        };
        if joined {
            last.extend_from_slice(bytes);
        }
        joined
    }
}

fn whole<const N: usize>(content: &[u8]) -> Option<[u8; N]> {
    content.try_into().ok()
}

fn offset(content: &[u8]) -> Option<u64> {
    whole(content).map(u64::from_be_bytes)
}

fn open<'a>(content: &[u8]) -> Option<FrameBody<'a>> {
    let (window, service) = content.split_first_chunk::<4>()?;
    let service = ServiceName::parse(std::str::from_utf8(service).ok()?).ok()?;
    Some(FrameBody::Open { window: u32::from_be_bytes(*window), service })
}

fn data(content: &[u8]) -> Option<FrameBody<'_>> {
    let (offset, bytes) = content.split_first_chunk::<8>()?;
    let offset = u64::from_be_bytes(*offset);
    let fits =
        (1..=MOST_DATA_BYTES).contains(&bytes.len()) && offset.checked_add(bytes.len() as u64).is_some();
    fits.then_some(FrameBody::Data { offset, bytes })
}

fn reset<'a>(content: &[u8]) -> Option<FrameBody<'a>> {
    let (code, reason) = content.split_first_chunk::<2>()?;
    let reason = std::str::from_utf8(reason).ok().filter(|reason| reason.len() <= MOST_REASON_BYTES)?;
    Some(FrameBody::Reset(Reset::new(ResetCode::of(u16::from_be_bytes(*code)), reason)))
}

fn resume<'a>(content: &[u8]) -> Option<FrameBody<'a>> {
    let (attempt, rest) = content.split_first_chunk::<4>()?;
    let (received, consumed) = rest.split_first_chunk::<8>()?;
    Some(FrameBody::Resume {
        attempt: u32::from_be_bytes(*attempt),
        received: u64::from_be_bytes(*received),
        consumed: offset(consumed)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A frame's bytes, mostly of a kind and a length that there is.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let content = prop_oneof![
            vec(any::<u8>(), 0..30),
            ("[a-z-]{1,64}", any::<[u8; 4]>()).prop_map(|(name, window)| [&window, name.as_bytes()].concat()),
            ("[ -~\u{e4}]{0,130}", any::<[u8; 2]>()).prop_map(|(why, code)| [&code, why.as_bytes()].concat()),
            Just(vec![]),
            vec(any::<u8>(), 4..=4),
            vec(any::<u8>(), 8..=8),
            vec(any::<u8>(), 20..=20),
        ];
        (prop_oneof![1..10_u8, any::<u8>()], any::<[u8; 16]>(), content)
            .prop_map(|(kind, channel, content)| [&[kind], &channel[..], &content].concat())
    }

    proptest! {
        /// What is understood means one thing alone: it is written as it was read.
        #[test]
        fn frames_are_written_as_they_are_read(bytes in bytes()) {
            if let Ok(frame) = Frame::decode(&bytes) {
                prop_assert_eq!(frame.encode(), bytes);
            }
        }

        #[test]
        fn anything_can_be_received(bytes in vec(any::<u8>(), 0..200)) {
            if let Ok(frame) = Frame::decode(&bytes) {
                prop_assert_eq!(frame.encode(), bytes);
            }
        }

        #[test]
        fn data_joins_only_what_it_follows(
            before in vec(any::<u8>(), 1..9), after in vec(any::<u8>(), 1..9), first in 0..9_u64, second in 0..20_u64,
        ) {
            let channel = ChannelId::from_bytes([1; 16]);
            let data = |offset, bytes| Frame { channel, body: FrameBody::Data { offset, bytes } };
            let mut last = data(first, &before).encode();
            let joins = data(second, &after).join(&mut last);
            prop_assert_eq!(joins, first + before.len() as u64 == second);
            let expected = if joins { [&before[..], &after].concat() } else { before.clone() };
            prop_assert_eq!(Frame::decode(&last).unwrap(), data(first, &expected));
        }
    }

    #[test]
    fn the_longest_data_fits_and_one_byte_more_does_not() {
        let channel = ChannelId::from_bytes([7; 16]);
        let bytes = vec![5; MOST_DATA_BYTES + 1];
        let data = |length: usize, offset| Frame {
            channel,
            body: FrameBody::Data { offset, bytes: &bytes[..length] },
        };
        let mut longest = data(MOST_DATA_BYTES, 3).encode();
        assert_eq!(longest.len(), MOST_FRAME_BYTES);
        assert!(Frame::decode(&longest).is_ok());
        assert!(!data(1, 3 + MOST_DATA_BYTES as u64).join(&mut longest));
        for bad in [data(MOST_DATA_BYTES + 1, 0), data(0, 0), data(2, u64::MAX - 1)] {
            assert_eq!(Frame::decode(&bad.encode()), Err(BadFrame::Content(DATA)));
        }
        assert_eq!(Frame::decode(&[DATA; 16]), Err(BadFrame::Short));
        assert_eq!(Frame::decode(&[0; 17]), Err(BadFrame::Kind(0)));
    }

    #[test]
    fn a_reason_has_a_longest_length() {
        let reset = |length: usize| [&[RESET][..], &[0; 16], &[0, 1], &vec![b'x'; length]].concat();
        assert!(Frame::decode(&reset(MOST_REASON_BYTES)).is_ok());
        assert_eq!(Frame::decode(&reset(MOST_REASON_BYTES + 1)), Err(BadFrame::Content(RESET)));
    }
}
