//! Frames of one channel that wait to be passed on.

use std::collections::VecDeque;

use agent_protocol::bus::{Frame, WINDOW_BYTES};

/// Two windows: what was on its way when a channel was resumed may still come, and then be sent again.
const MOST_BYTES: usize = 2 * WINDOW_BYTES as usize + MOST_FRAMES * 64;
/// Far more than ends that keep to the rules have on their way, since data that follows data joins it.
const MOST_FRAMES: usize = 512;

/// More is sent than the windows admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overflow;

/// A queue of frames that cannot grow beyond what the windows of a channel admit.
#[derive(Debug, Default)]
pub(super) struct Lane {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Lane {
    pub(super) fn push(&mut self, frame: &Frame<'_>, encoded: &[u8]) -> Result<(), Overflow> {
        if self.bytes + encoded.len() > MOST_BYTES || self.frames.len() >= MOST_FRAMES {
            return Err(Overflow);
        }
        if let Some(last) = self.frames.back_mut() {
            let before = last.len();
            if frame.join(last) {
                self.bytes += last.len() - before;
                return Ok(());
            }
        }
        self.bytes += encoded.len();
        self.frames.push_back(encoded.to_vec());
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use agent_protocol::bus::{ChannelId, FrameBody, MOST_DATA_BYTES};

    use super::*;

    fn push(lane: &mut Lane, offset: u64, bytes: &[u8]) -> Result<(), Overflow> {
        let channel = ChannelId::from_bytes([1; 16]);
        let frame = Frame { channel, body: FrameBody::Data { offset, bytes } };
        lane.push(&frame, &frame.encode())
    }

    #[test]
    fn a_window_of_single_bytes_takes_few_frames() {
        let mut lane = Lane::default();
        for offset in 0..u64::from(WINDOW_BYTES) {
            push(&mut lane, offset, b"x").unwrap();
        }
        assert_eq!(lane.frames.len(), WINDOW_BYTES as usize / MOST_DATA_BYTES);
        let mut popped = 0;
        while let Some(frame) = lane.pop() {
            assert!(Frame::decode(&frame).is_ok());
            popped += 1;
        }
        assert_eq!((popped, lane.bytes), (WINDOW_BYTES as usize / MOST_DATA_BYTES, 0));
    }

    #[test]
    fn neither_bytes_nor_frames_grow_without_end() {
        let full = |bytes: &[u8], step: u64| {
            let mut lane = Lane::default();
            let pushed = (0..).take_while(|number| push(&mut lane, number * step, bytes).is_ok()).count();
            (pushed, lane.bytes)
        };
        assert_eq!(full(b"x", 2).0, MOST_FRAMES);
        let (_, bytes) = full(&[0; MOST_DATA_BYTES], MOST_DATA_BYTES as u64);
        assert!(bytes <= MOST_BYTES && bytes >= 2 * WINDOW_BYTES as usize, "{bytes}");
    }
}
