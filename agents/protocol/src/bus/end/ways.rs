//! The two directions of a channel's end: what it sends, and what it receives.

use std::collections::VecDeque;

use super::super::MOST_DATA_BYTES;

/// How the other end broke the rules.
pub(super) type Violation = &'static str;

/// What this end sends. It keeps all bytes that the other end has not consumed.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// The bytes from `consumed` on.
    kept: VecDeque<u8>,
    /// All bytes before it are consumed by the other end.
    consumed: u64,
    /// The next byte to send.
    next: u64,
    /// All bytes before it were sent once.
    sent: u64,
    /// How many bytes may be kept; none before the other end said so.
    window: usize,
    finished: bool,
    finish_due: bool,
}

impl Outgoing {
    pub(super) fn open(&mut self, window: u32, most: u32) -> Result<(), Violation> {
        if window == 0 {
            return Err("a window must have room for at least one byte");
        }
        self.window = usize::try_from(window.min(most)).unwrap_or(usize::MAX);
        Ok(())
    }

    /// Takes as much as there is room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.window - self.kept.len());
        self.kept.extend(&bytes[..taken]);
        taken
    }

    pub(super) fn finish(&mut self) {
        self.finish_due |= !self.finished;
        self.finished = true;
    }

    fn written(&self) -> u64 {
        self.consumed + self.kept.len() as u64
    }

    pub(super) fn has_data(&self) -> bool {
        self.next < self.written()
    }

    /// The next bytes to send.
    pub(super) fn data(&mut self) -> (u64, &[u8]) {
        let offset = self.next;
        let (first, second) = self.kept.as_slices();
        let at = usize::try_from(offset - self.consumed).unwrap_or(usize::MAX);
        let rest = first.get(at..).filter(|rest| !rest.is_empty());
        let rest = rest.unwrap_or_else(|| &second[at - first.len()..]);
        let bytes = &rest[..rest.len().min(MOST_DATA_BYTES)];
        self.next += bytes.len() as u64;
        self.sent = self.sent.max(self.next);
        (offset, bytes)
    }

    /// Where the bytes end, once: when all are sent and nobody writes more.
    pub(super) fn finish_now(&mut self) -> Option<u64> {
        if self.has_data() {
            return None;
        }
        std::mem::take(&mut self.finish_due).then_some(self.next)
    }

    pub(super) fn consumed(&mut self, offset: u64) -> Result<(), Violation> {
        if !(self.consumed..=self.sent).contains(&offset) {
            return Err("consumed must not exceed what was sent, and must not decrease");
        }
        let gone = usize::try_from(offset - self.consumed).unwrap_or(usize::MAX);
        self.kept.drain(..gone);
        self.consumed = offset;
        self.next = self.next.max(offset);
        Ok(())
    }

    /// Continues after what has arrived.
    pub(super) fn resume(&mut self, received: u64, consumed: u64) -> Result<(), Violation> {
        if consumed > received || received > self.sent {
            return Err("a channel must be resumed between what was consumed and what was sent");
        }
        self.consumed(consumed)?;
        self.next = received;
        self.finish_due = self.finished;
        Ok(())
    }

    pub(super) fn is_done(&self) -> bool {
        self.finished && self.kept.is_empty()
    }

    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn drop_all(&mut self) {
        self.kept = VecDeque::new();
        self.next = self.consumed;
        self.window = 0;
    }
}

/// What this end receives. It holds all bytes that were not read yet.
#[derive(Debug)]
pub(super) struct Incoming {
    /// The bytes from `consumed` to `received`.
    held: VecDeque<u8>,
    received: u64,
    consumed: u64,
    /// The consumed offset that the other end was told last.
    told: u64,
    window: u64,
    end: Option<u64>,
}

impl Incoming {
    pub(super) fn new(window: u32) -> Self {
        Self {
            held: VecDeque::new(),
            received: 0,
            consumed: 0,
            told: 0,
            window: u64::from(window),
            end: None,
        }
    }

    pub(super) fn data(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Violation> {
        let end = offset.checked_add(bytes.len() as u64).ok_or("an offset is too large")?;
        if offset > self.received {
            return Err("bytes are missing before these");
        }
        if end > self.told + self.window {
            return Err("these bytes are beyond the window");
        }
        if self.end.is_some_and(|last| end > last) {
            return Err("bytes follow the end");
        }
        // What arrived before a loss, and is sent again because its sender could not know.
        let known = usize::try_from(self.received - offset).unwrap_or(usize::MAX);
        if let Some(new) = bytes.get(known..) {
            self.held.extend(new);
            self.received = self.received.max(end);
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, offset: u64) -> Result<(), Violation> {
        if offset != self.end.unwrap_or(self.received) {
            return Err("the end is not where the bytes end");
        }
        self.end = Some(offset);
        Ok(())
    }

    pub(super) fn read(&mut self, most: usize) -> Vec<u8> {
        let bytes: Vec<u8> = self.held.drain(..most.min(self.held.len())).collect();
        self.consumed += bytes.len() as u64;
        bytes
    }

    /// The consumed offset to send, if one is due: often enough that the other end never waits for room that there is,
    /// but not for each byte.
    pub(super) fn credit(&mut self) -> Option<u64> {
        let untold = self.consumed - self.told;
        let due = untold > 0 && (untold >= self.window.div_ceil(2) || self.is_done());
        due.then(|| self.tell()).map(|(_, consumed)| consumed)
    }

    /// What has arrived and what is consumed, which the other end is about to hear.
    pub(super) fn tell(&mut self) -> (u64, u64) {
        self.told = self.consumed;
        (self.received, self.consumed)
    }

    /// Whether everything was read up to the end.
    pub(super) fn is_done(&self) -> bool {
        self.end == Some(self.consumed)
    }

    pub(super) fn has_bytes(&self) -> bool {
        !self.held.is_empty()
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn drop_all(&mut self) {
        self.held = VecDeque::new();
    }
}
