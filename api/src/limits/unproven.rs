//! Limits how much is held for unauthenticated senders: bodies that must be read to know the caller, with their heads,
//! and unfinished heads. All of it together has one upper bound, and what comes from one address has a share of it, so
//! that no number of unauthenticated callers makes the server hold more. A caller who is authenticated by the head
//! alone does not count here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::dev::Payload;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::http::body::{self, Length, NotReceived, Pace};
use crate::limits::network::Network;
use crate::limits::room::{NoRoom, Room};

/// The most that is held for all unauthenticated callers together.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// The most of it that is held for one address.
const OF_ONE_ADDRESS: usize = MOST_BYTES / 8;

/// The part that bodies leave to heads, so that the next head can still be read however many bodies are held.
const LEFT_FOR_HEADS: usize = MOST_BYTES / 8;

/// How long a body waits for others to make room.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a body has, whatever its length.
const ARRIVES_WITHIN: Duration = Duration::from_secs(5);

/// How many bytes each further second has to bring.
const BYTES_PER_SECOND: usize = 64 * 1024;

/// How much room is made for at once; a body that says how long it is makes room for no more than that.
pub(crate) const STEP: usize = 16 * 1024;

/// How much may be held, and how fast it has to arrive.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    all: usize,
    of_one_address: usize,
    left_for_heads: usize,
    patience: Duration,
    arrives_within: Duration,
}

/// What this replica holds for unauthenticated callers.
#[derive(Debug)]
pub(crate) struct Unproven {
    bounds: Bounds,
    held: Mutex<HeldBytes>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct HeldBytes {
    total: usize,
    by_address: HashMap<Option<Network>, usize>,
}

impl Default for Unproven {
    fn default() -> Self {
        Self::within(Bounds {
            all: MOST_BYTES,
            of_one_address: OF_ONE_ADDRESS,
            left_for_heads: LEFT_FOR_HEADS,
            patience: PATIENCE,
            arrives_within: ARRIVES_WITHIN,
        })
    }
}

impl Unproven {
    fn within(bounds: Bounds) -> Self {
        Self { bounds, held: Mutex::default(), freed: Notify::new() }
    }

    /// Holds so many bytes more of an unfinished head; its connection gives them back with [`Self::give_back`].
    pub(crate) fn hold_head(&self, address: Option<Network>, bytes: usize) -> Result<(), NoRoom> {
        self.hold(address, bytes, self.bounds.all)
    }

    fn hold_body(&self, address: Option<Network>, bytes: usize) -> Result<(), NoRoom> {
        self.hold(address, bytes, self.bounds.all - self.bounds.left_for_heads)
    }

    fn hold(&self, address: Option<Network>, bytes: usize, most: usize) -> Result<(), NoRoom> {
        let mut held = self.lock();
        let of_address = held.by_address.get(&address).copied().unwrap_or_default();
        if of_address + bytes > self.bounds.of_one_address {
            return Err(NoRoom::OfAddress);
        }
        if held.total + bytes > most {
            return Err(NoRoom::OfAll);
        }
        held.total += bytes;
        held.by_address.insert(address, of_address + bytes);
        Ok(())
    }

    /// Gives back what was held of this address.
    pub(crate) fn give_back(&self, address: Option<Network>, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let mut held = self.lock();
        held.total -= bytes;
        if let Some(of_address) = held.by_address.get_mut(&address) {
            *of_address -= bytes;
            if *of_address == 0 {
                held.by_address.remove(&address);
            }
        }
        drop(held);
        self.freed.notify_waiters();
    }

    /// Receives a body behind a head of this size, in bytes, both of which count.
    pub(super) async fn receive_from(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        head: usize,
        payload: &mut Payload,
        length: Length,
    ) -> Result<(Vec<u8>, Hold), NotReceived> {
        length.expected()?;
        let mut hold = Hold { bytes: 0, address: address.map(Network::of), unproven: Arc::clone(self) };
        hold.make(head).await.map_err(NotReceived::NoRoom)?;
        let pace = Pace { within: self.bounds.arrives_within, bytes_per_second: Some(BYTES_PER_SECOND) };
        body::receive(payload, length, pace, hold, |_| {}).await
    }

    // No change under the lock is left incomplete, so a panic elsewhere does not corrupt the sums.
    fn lock(&self) -> MutexGuard<'_, HeldBytes> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts for a head and a body, until it is dropped: when it is known whose it is, or it is gone.
#[derive(Debug)]
pub(crate) struct Hold {
    bytes: usize,
    address: Option<Network>,
    unproven: Arc<Unproven>,
}

impl Room for Hold {
    const STEP: usize = STEP;
    const WAITS_FOR_ITSELF: bool = false;

    /// Waits a little for others to make room.
    async fn make(&mut self, missing: usize) -> Result<(), NoRoom> {
        let Self { bytes, address, unproven } = self;
        let deadline = Instant::now() + unproven.bounds.patience;
        loop {
            // Before it is tried, so that what is given back in between is not missed.
            let freed = unproven.freed.notified();
            let full = match unproven.hold_body(*address, missing) {
                Ok(()) => break,
                Err(full) => full,
            };
            timeout_at(deadline, freed).await.map_err(|_| full)?;
        }
        *bytes += missing;
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.unproven.give_back(self.address, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use actix_web::error::PayloadError;
    use actix_web::web::Bytes;
    use futures_util::{StreamExt as _, stream};

    use super::*;

    /// Little room, and no wait for it.
    fn little() -> Arc<Unproven> {
        Arc::new(Unproven::within(Bounds {
            all: 800,
            of_one_address: 300,
            left_for_heads: 100,
            patience: Duration::ZERO,
            arrives_within: Duration::from_millis(20),
        }))
    }

    fn address(number: u32) -> Option<IpAddr> {
        Some(std::net::Ipv4Addr::from_bits(number).into())
    }

    fn pieces(pieces: &[&'static [u8]], ends: bool) -> Payload {
        let pieces: Vec<_> =
            pieces.iter().map(|piece| Ok::<_, PayloadError>(Bytes::from_static(piece))).collect();
        if ends {
            return Payload::Stream { payload: Box::pin(stream::iter(pieces)) };
        }
        Payload::Stream { payload: Box::pin(stream::iter(pieces).chain(stream::pending())) }
    }

    async fn receive(
        unproven: &Arc<Unproven>,
        from: u32,
        announced: Option<usize>,
        mut payload: Payload,
    ) -> Result<(Vec<u8>, Hold), NotReceived> {
        unproven.receive_from(address(from), 0, &mut payload, Length { most: 250, announced }).await
    }

    #[tokio::test]
    async fn a_body_counts_until_it_is_dropped_and_an_address_has_its_share() {
        let unproven = little();
        let body =
            receive(&unproven, 1, Some(200), pieces(&[&[b'a'; 150], &[b'b'; 50]], true)).await.unwrap();
        let (bytes, hold) = body;
        assert_eq!((bytes.len(), unproven.lock().total), (200, 200));
        let full = receive(&unproven, 1, Some(150), pieces(&[&[b'a'; 150]], true)).await.unwrap_err();
        assert_eq!(full, NotReceived::NoRoom(NoRoom::OfAddress));
        // What was not received holds nothing, and others are not affected.
        assert_eq!(unproven.lock().total, 200);
        let other = receive(&unproven, 2, Some(200), pieces(&[&[b'a'; 200]], true)).await.unwrap();
        let third = receive(&unproven, 3, Some(200), pieces(&[&[b'a'; 200]], true)).await.unwrap();
        // The last part is not for bodies.
        let full = receive(&unproven, 4, Some(150), pieces(&[&[b'a'; 150]], true)).await.unwrap_err();
        assert_eq!(full, NotReceived::NoRoom(NoRoom::OfAll));
        unproven.hold_head(Some(Network::of(address(4).unwrap())), 200).unwrap();
        assert_eq!(unproven.hold_head(None, 1), Err(NoRoom::OfAll));
        unproven.give_back(Some(Network::of(address(4).unwrap())), 200);
        drop((hold, other, third));
        assert_eq!(unproven.lock().total, 0);
        assert!(unproven.lock().by_address.is_empty());
    }

    #[tokio::test]
    async fn a_head_counts_while_its_body_is_awaited() {
        let unproven = little();
        let length = Length { most: 250, announced: Some(2) };
        let mut payload = pieces(&[b"ab"], true);
        let body = unproven.receive_from(address(1), 150, &mut payload, length).await.unwrap();
        assert_eq!(unproven.lock().total, 152);
        let mut payload = pieces(&[b"ab"], true);
        let full = unproven.receive_from(address(1), 150, &mut payload, length).await.unwrap_err();
        assert_eq!(full, NotReceived::NoRoom(NoRoom::OfAddress));
        drop(body);
        assert_eq!(unproven.lock().total, 0);
    }

    #[tokio::test]
    async fn an_announced_length_takes_no_room_until_bytes_arrive() {
        let unproven = little();
        let waiting = receive(&unproven, 1, Some(250), pieces(&[b"a"], false)).await.unwrap_err();
        assert_eq!((waiting, unproven.lock().total), (NotReceived::TooSlow, 0));
        let long = receive(&unproven, 1, Some(251), pieces(&[], true)).await.unwrap_err();
        assert_eq!(long, NotReceived::TooLong);
    }

    #[tokio::test]
    async fn a_body_that_waits_for_room_gets_it_as_soon_as_there_is_some() {
        let bounds = Bounds { patience: Duration::from_secs(60), ..little().bounds };
        let unproven = Arc::new(Unproven::within(bounds));
        let held = receive(&unproven, 1, Some(200), pieces(&[&[b'a'; 200]], true)).await.unwrap();
        let waits = receive(&unproven, 1, Some(200), pieces(&[&[b'b'; 200]], true));
        let frees = async { drop(held) };
        let (second, ()) = tokio::join!(waits, frees);
        assert_eq!(second.unwrap().0, [b'b'; 200]);
        assert_eq!(unproven.lock().total, 0);
    }

    #[tokio::test]
    async fn a_body_that_stalls_or_breaks_off_is_refused() {
        let unproven = little();
        let broken: Vec<Result<Bytes, PayloadError>> = vec![Err(PayloadError::Incomplete(None))];
        let length = Length { most: 250, announced: None };
        let mut broken: Payload = Payload::Stream { payload: Box::pin(stream::iter(broken)) };
        let outcome = unproven.receive_from(address(1), 0, &mut broken, length).await;
        assert_eq!(outcome.unwrap_err(), NotReceived::Broken);
        for announced in [Some(100), Some(0)] {
            let stalled = receive(&unproven, 1, announced, pieces(&[], false)).await;
            assert_eq!(stalled.unwrap_err(), NotReceived::TooSlow);
        }
        assert_eq!(unproven.lock().total, 0);
    }
}
