//! The two handles of a channel's end: one for reading and writing ([`Channel`]), and one for carrying its frames
//! ([`Port`]).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::end::Reading;
use super::{ChannelId, End, FrameBody, Over, Reset, ResetCode};

/// How many bytes a read gives at most.
const MOST_READ_BYTES: usize = 64 * 1024;

/// One end of a channel, for reading and writing. Dropping either half before its direction has ended resets the
/// channel.
#[derive(Debug)]
pub struct Channel {
    /// What arrives.
    pub reader: Reader,
    /// What is sent.
    pub writer: Writer,
}

/// The way in.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    ended: bool,
}

/// The way out.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    finished: bool,
}

/// The same end, for carrying its frames.
#[derive(Debug, Clone)]
pub struct Port {
    shared: Arc<Shared>,
}

struct Shared {
    end: Mutex<End>,
    readable: Notify,
    writable: Notify,
    /// Told when there may be frames to send.
    sends: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("end", &self.end).finish_non_exhaustive()
    }
}

impl Shared {
    // No change under the lock is left incomplete, so a panic elsewhere does not corrupt the end.
    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) {
        self.readable.notify_one();
        self.writable.notify_one();
    }

    fn reset(&self, reset: Reset) {
        self.end().reset(reset);
        self.told();
        (self.sends)();
    }
}

/// Makes both handles of an end. `sends` is called whenever there may be frames to send, and must not wait.
pub fn share(end: End, sends: impl Fn() + Send + Sync + 'static) -> (Channel, Port) {
    let (readable, writable) = (Notify::new(), Notify::new());
    let shared = Arc::new(Shared { end: Mutex::new(end), readable, writable, sends: Box::new(sends) });
    let reader = Reader { shared: Arc::clone(&shared), ended: false };
    let writer = Writer { shared: Arc::clone(&shared), finished: false };
    (Channel { reader, writer }, Port { shared })
}

impl Channel {
    /// Ends both directions at both ends.
    pub fn reset(self, code: ResetCode, reason: &str) {
        self.writer.shared.reset(Reset::new(code, reason));
    }

    /// Waits until the channel is connected to its service.
    ///
    /// # Errors
    /// It was reset.
    pub async fn accepted(&mut self) -> Result<(), Reset> {
        loop {
            let waits = self.writer.shared.writable.notified();
            {
                let end = self.writer.shared.end();
                if let Some(Over::Reset(reset)) = end.over() {
                    return Err(reset.clone());
                }
                if end.is_accepted() {
                    return Ok(());
                }
            }
            waits.await;
        }
    }
}

impl Reader {
    /// Waits for bytes and takes them; `None` when the other end has finished. Cancelling it loses nothing.
    ///
    /// # Errors
    /// The channel was reset.
    pub async fn read(&mut self) -> Result<Option<Vec<u8>>, Reset> {
        loop {
            let waits = self.shared.readable.notified();
            let reading = self.shared.end().read(MOST_READ_BYTES);
            match reading {
                Ok(Reading::Bytes(bytes)) => {
                    (self.shared.sends)();
                    return Ok(Some(bytes));
                }
                Ok(Reading::End) => {
                    self.ended = true;
                    return Ok(None);
                }
                Ok(Reading::Nothing) => {}
                Err(reset) => {
                    self.ended = true;
                    return Err(reset);
                }
            }
            waits.await;
        }
    }
}

impl Writer {
    /// Waits until there was room for all of these bytes.
    ///
    /// # Errors
    /// The channel was reset.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Reset> {
        while !bytes.is_empty() {
            let waits = self.shared.writable.notified();
            let written = self.shared.end().write(bytes)?;
            if written == 0 {
                waits.await;
            } else {
                (self.shared.sends)();
                bytes = &bytes[written..];
            }
        }
        Ok(())
    }

    /// Says that no more is written. What was written is still sent.
    pub fn finish(mut self) {
        self.finished = true;
        self.shared.end().finish();
        (self.shared.sends)();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !self.ended {
            let nobody = Reset::new(ResetCode::Cancelled, "nobody reads the channel any more");
            let mut end = self.shared.end();
            // Everything may have been read, without asking once more for the end.
            if end.read(0) != Ok(Reading::End) {
                end.reset(nobody);
                drop(end);
                self.shared.told();
                (self.shared.sends)();
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            self.shared.reset(Reset::new(ResetCode::Cancelled, "nobody writes to the channel any more"));
        }
    }
}

impl Port {
    /// The channel.
    #[must_use]
    pub fn channel(&self) -> ChannelId {
        self.shared.end().channel()
    }

    /// How the channel ended, if it has.
    #[must_use]
    pub fn over(&self) -> Option<Over> {
        self.shared.end().over().cloned()
    }

    /// Whether there is a path to the other end.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.shared.end().is_attached()
    }

    /// [`End::attach`].
    pub fn attach(&self) {
        self.shared.end().attach();
        (self.shared.sends)();
    }

    /// [`End::detach`].
    pub fn detach(&self) {
        self.shared.end().detach();
    }

    /// [`End::lose`].
    pub fn lose(&self, reason: &str) {
        self.shared.end().lose(reason);
        self.shared.told();
    }

    /// [`End::receive`].
    pub fn receive(&self, body: &FrameBody<'_>) {
        self.shared.end().receive(body);
        self.shared.told();
        (self.shared.sends)();
    }

    /// The next frame to send, if there is one now, as bytes.
    #[must_use]
    pub fn next_frame(&self) -> Option<Vec<u8>> {
        self.shared.end().next_frame().map(|frame| frame.encode())
    }
}
