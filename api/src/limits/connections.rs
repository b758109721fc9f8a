//! The connections that are open: how many there may be, in all and of one address, and which one makes room when there
//! are too many. Each connection is an open file and some memory, whether or not anything is ever sent on it.
//!
//! A connection *waits* while no complete head of a request has arrived, and while the body of an unauthenticated
//! request is awaited. A waiting connection can be closed to make room for another. One that is being answered is not,
//! unless its client does not read the reply. All accepting threads share the registry; the state of a single
//! connection is its [`Slot`].

mod being_answered;
mod slot;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::network::Network;
use crate::limits::room::NoRoom;
use crate::limits::unproven::Unproven;

use being_answered::BeingAnswered;
pub(crate) use slot::{Reading, Slot};

/// Heads are shorter than this. It is what the web framework holds of one at most.
pub(crate) const LONGEST_HEAD: usize = 128 * 1024;

/// How many connections may be open; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionLimits {
    /// In all.
    pub total: Option<NonZeroUsize>,
    /// Of one source address (of IPv6, of a /64).
    pub per_address: Option<NonZeroUsize>,
    /// Of all kinds, also those that otherwise do not count: more than these are not accepted, and stay with the system
    /// until others end. What is accepted waits for its thread as an open file.
    pub accepted: Option<NonZeroUsize>,
}

/// There are too many connections, and none of them waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

/// Who has connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A client at this address, if the address is known.
    Caller(Option<IpAddr>),
    /// A proxy that serves many clients, and limits their connections itself.
    TrustedProxy,
}

/// The open connections of this replica.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: ConnectionLimits,
    unproven: Arc<Unproven>,
    registry: Mutex<Registry>,
    being_answered: BeingAnswered,
}

/// A connection's number, in the order in which they came.
type Number = u64;

/// When a connection began to wait, in the order in which they did.
type Since = u64;

#[derive(Debug, Default)]
struct Registry {
    /// Those that count.
    seats: HashMap<Number, Seat>,
    addresses: HashMap<Option<Network>, OfAddress>,
    /// Those that can be closed, the oldest first.
    waiting: BTreeMap<Since, Number>,
    /// Those of them with a part of a head.
    partial: BTreeMap<Since, Number>,
    steps: u64,
}

#[derive(Debug)]
struct Seat {
    address: Option<Network>,
    flow: Arc<slot::Flow>,
    waits: Option<Since>,
    /// How much of an unfinished head is held.
    head_bytes: usize,
}

#[derive(Debug, Default)]
struct OfAddress {
    live: usize,
    waiting: BTreeSet<Since>,
    partial: BTreeSet<Since>,
}

impl Connections {
    /// None is open yet.
    pub(crate) fn new(limits: ConnectionLimits, unproven: Arc<Unproven>) -> Self {
        Self { limits, unproven, registry: Mutex::default(), being_answered: BeingAnswered::default() }
    }

    /// Admits a new connection, which waits. If there is no room, the connection that has waited longest is closed: one
    /// of the same address if that has used its share, and otherwise one of all.
    pub(crate) fn open(self: &Arc<Self>, peer: Peer) -> Result<Arc<Slot>, TooMany> {
        let flow = Arc::<slot::Flow>::default();
        let address = match peer {
            Peer::TrustedProxy => return Ok(Arc::new(Slot::new(self.clone(), None, flow))),
            Peer::Caller(address) => address.map(Network::of),
        };
        let mut closed = Vec::new();
        let taken = {
            let mut registry = self.lock();
            self.make_room(&mut registry, address, &mut closed).map(|()| registry.seat(address, flow.clone()))
        };
        for flow in closed {
            flow.close();
        }
        Ok(Arc::new(Slot::new(self.clone(), Some(taken?), flow)))
    }

    /// Waits until no request is being answered.
    pub(crate) async fn all_answered(&self) {
        self.being_answered.none().await;
    }

    fn make_room(
        &self,
        registry: &mut Registry,
        address: Option<Network>,
        closed: &mut Vec<Arc<slot::Flow>>,
    ) -> Result<(), TooMany> {
        let (total, per_address) = (self.limits.total, self.limits.per_address);
        let of_address = |registry: &Registry| registry.addresses.get(&address).map_or(0, |of| of.live);
        while per_address.is_some_and(|most| of_address(registry) >= most.get()) {
            let oldest = registry.addresses.get(&address).and_then(|of| of.waiting.first().copied());
            closed.push(self.turn_out(registry, oldest.ok_or(TooMany)?));
        }
        while total.is_some_and(|most| registry.seats.len() >= most.get()) {
            let oldest = registry.waiting.keys().next().copied();
            closed.push(self.turn_out(registry, oldest.ok_or(TooMany)?));
        }
        Ok(())
    }

    /// Takes the seat of one that waits.
    fn turn_out(&self, registry: &mut Registry, since: Since) -> Arc<slot::Flow> {
        let number = registry.waiting[&since];
        self.leave(registry, number).expect("a waiting connection has a seat")
    }

    /// A connection is gone, or counts no more.
    fn leave(&self, registry: &mut Registry, number: Number) -> Option<Arc<slot::Flow>> {
        self.stop_waiting(registry, number);
        let seat = registry.seats.remove(&number)?;
        let of_address = registry.addresses.get_mut(&seat.address)?;
        of_address.live -= 1;
        if of_address.live == 0 {
            registry.addresses.remove(&seat.address);
        }
        Some(seat.flow)
    }

    /// A connection can be closed no more, and what was held of its head is no part of one any more.
    fn stop_waiting(&self, registry: &mut Registry, number: Number) {
        let Some(seat) = registry.seats.get_mut(&number) else { return };
        let Some(since) = seat.waits.take() else { return };
        let (address, bytes) = (seat.address, std::mem::take(&mut seat.head_bytes));
        registry.waiting.remove(&since);
        registry.partial.remove(&since);
        if let Some(of_address) = registry.addresses.get_mut(&address) {
            of_address.waiting.remove(&since);
            of_address.partial.remove(&since);
        }
        self.unproven.give_back(address, bytes);
    }

    fn start_waiting(registry: &mut Registry, number: Number) {
        registry.steps += 1;
        let since = registry.steps;
        let Some(seat) = registry.seats.get_mut(&number).filter(|seat| seat.waits.is_none()) else { return };
        seat.waits = Some(since);
        registry.waiting.insert(since, number);
        registry.addresses.entry(seat.address).or_default().waiting.insert(since);
    }

    /// So many bytes more are held of the unfinished head of a connection. When there is no room for them, the oldest
    /// with a part of a head makes some.
    fn hold_head(&self, number: Number, bytes: usize) {
        let mut closed = Vec::new();
        self.hold_head_in(&mut self.lock(), number, bytes, &mut closed);
        for flow in closed {
            flow.close();
        }
    }

    fn hold_head_in(
        &self,
        registry: &mut Registry,
        number: Number,
        bytes: usize,
        closed: &mut Vec<Arc<slot::Flow>>,
    ) {
        // If it was just closed, it holds nothing.
        while let Some((seat, since)) = registry.seats.get(&number).and_then(|seat| Some((seat, seat.waits?)))
        {
            let address = seat.address;
            let bytes = bytes.min(LONGEST_HEAD.saturating_sub(seat.head_bytes));
            let full = match self.unproven.hold_head(address, bytes) {
                Ok(()) => {
                    registry.partial.insert(since, number);
                    registry.addresses.entry(address).or_default().partial.insert(since);
                    if let Some(seat) = registry.seats.get_mut(&number) {
                        seat.head_bytes += bytes;
                    }
                    return;
                }
                Err(full) => full,
            };
            let oldest = match full {
                NoRoom::OfAddress => {
                    registry.addresses.get(&address).and_then(|of| of.partial.first().copied())
                }
                NoRoom::OfAll => registry.partial.keys().next().copied(),
            };
            // If bodies have taken everything, this connection is closed itself.
            closed.push(self.turn_out(registry, oldest.unwrap_or(since)));
        }
    }

    // No change under the lock is left incomplete, so a panic elsewhere does not corrupt the registry.
    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn seat(&mut self, address: Option<Network>, flow: Arc<slot::Flow>) -> Number {
        self.steps += 1;
        let number = self.steps;
        self.seats.insert(number, Seat { address, flow, waits: None, head_bytes: 0 });
        self.addresses.entry(address).or_default().live += 1;
        Connections::start_waiting(self, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    use super::*;

    fn limited(total: usize, per_address: usize) -> Arc<Connections> {
        let limits = ConnectionLimits {
            total: NonZeroUsize::new(total),
            per_address: NonZeroUsize::new(per_address),
            accepted: None,
        };
        Arc::new(Connections::new(limits, Arc::default()))
    }

    fn caller(text: &str) -> Peer {
        Peer::Caller(Some(text.parse().unwrap()))
    }

    fn is_closed(slot: &Slot) -> bool {
        slot.reading(&Context::from_waker(Waker::noop())).is_err()
    }

    fn nothing_is_left(connections: &Connections) {
        let registry = connections.lock();
        assert!(registry.seats.is_empty() && registry.addresses.is_empty(), "{registry:?}");
        assert!(registry.waiting.is_empty() && registry.partial.is_empty(), "{registry:?}");
    }

    #[test]
    fn only_the_connection_that_has_waited_longest_is_closed() {
        let connections = limited(4, 2);
        let open = |from| connections.open(caller(from)).unwrap();
        let first = open("192.0.2.1");
        let second = open("192.0.2.1");
        // It waits again, and so it is the younger one.
        drop(first.answer());
        let third = open("192.0.2.1");
        assert_eq!([&first, &second, &third].map(|slot| is_closed(slot)), [false, true, false]);
        let others = [open("2001:db8::1"), open("2001:db8::2")];
        assert!(!is_closed(&first), "there is room for four");
        let fifth = open("192.0.2.9");
        assert!(is_closed(&first) && !is_closed(&third));
        // A /64 is one address.
        let sixth = open("2001:db8::ffff");
        assert_eq!([&others[0], &others[1], &fifth].map(|slot| is_closed(slot)), [true, false, false]);
        drop((first, second, third, others, fifth, sixth));
        nothing_is_left(&connections);
    }

    #[test]
    fn connections_that_are_answered_stay_and_if_all_are_no_other_is_admitted() {
        let connections = limited(2, 0);
        let slots =
            [connections.open(caller("192.0.2.1")).unwrap(), connections.open(caller("192.0.2.2")).unwrap()];
        let answering = slots.each_ref().map(Slot::answer);
        assert_eq!(connections.open(caller("192.0.2.3")).map(drop), Err(TooMany));
        // Nobody reads what is written to the second, so it may be closed after all.
        slots[1].is_not_taken(&Context::from_waker(Waker::noop())).unwrap();
        let third = connections.open(caller("192.0.2.3")).unwrap();
        assert_eq!(slots.each_ref().map(|slot| is_closed(slot)), [false, true]);
        drop(third);
        slots[0].is_not_taken(&Context::from_waker(Waker::noop())).unwrap();
        slots[0].is_taken();
        let third = connections.open(caller("192.0.2.3")).unwrap();
        let _answering = third.answer();
        assert_eq!(connections.open(caller("192.0.2.4")).map(drop), Err(TooMany));
        // A link does not count any more, and keeps nobody out.
        third.leave();
        drop(connections.open(caller("192.0.2.4")).unwrap());
        drop((answering, slots, third));
    }

    #[test]
    fn a_connection_whose_unauthenticated_body_is_awaited_makes_room() {
        let connections = limited(2, 0);
        let slots =
            [connections.open(caller("192.0.2.1")).unwrap(), connections.open(caller("192.0.2.2")).unwrap()];
        let answering = slots.each_ref().map(Slot::answer);
        let awaited = slots.each_ref().map(Slot::awaits_unauthenticated_body);
        // Reading the reply again does not authenticate the client.
        slots[0].is_taken();
        let third = connections.open(caller("192.0.2.3")).unwrap();
        assert_eq!(slots.each_ref().map(|slot| is_closed(slot)), [true, false]);
        let _third = third.answer();
        // The body is here: it is answered, and stays.
        drop(awaited);
        assert_eq!(connections.open(caller("192.0.2.4")).map(drop), Err(TooMany));
        drop((answering, slots));
    }

    #[test]
    fn a_trusted_proxy_does_not_count_and_is_not_closed() {
        let connections = limited(1, 1);
        let proxies: Vec<_> = (0..5).map(|_| connections.open(Peer::TrustedProxy).unwrap()).collect();
        for proxy in &proxies {
            proxy.head_is_unfinished(1_000);
        }
        let caller = connections.open(caller("192.0.2.1")).unwrap();
        assert!(!proxies.iter().chain([&caller]).any(|slot| is_closed(slot)));
        drop((caller, proxies));
        nothing_is_left(&connections);
    }

    #[test]
    fn the_oldest_with_a_part_of_a_head_makes_room_for_the_next_part() {
        let connections = limited(0, 0);
        let open = |from| connections.open(caller(from)).unwrap();
        let idle = open("192.0.2.1");
        // 64 heads of the longest kind are all that an address may have.
        let heads: Vec<_> = (0..64).map(|_| open("192.0.2.1")).collect();
        for head in &heads {
            head.head_is_unfinished(LONGEST_HEAD * 2);
        }
        assert!(!heads.iter().any(|slot| is_closed(slot)));
        let next = open("192.0.2.1");
        next.head_is_unfinished(1);
        let closed: Vec<_> = heads.iter().map(|slot| is_closed(slot)).collect();
        assert_eq!(closed.iter().filter(|closed| **closed).count(), 1);
        assert!(closed[0] && !is_closed(&next) && !is_closed(&idle));
        // A head that is whole holds nothing.
        drop(heads[1].answer());
        let more = open("192.0.2.1");
        more.head_is_unfinished(LONGEST_HEAD);
        assert!(!heads[2..].iter().any(|slot| is_closed(slot)));
        drop((idle, heads, next, more));
        nothing_is_left(&connections);
    }

    #[test]
    fn a_closed_connection_is_woken_and_a_body_is_read_as_it_is_wanted() {
        #[derive(Default)]
        struct Woken(AtomicUsize);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(woken.clone());
        let context = Context::from_waker(&waker);
        let connections = limited(1, 0);
        let slot = connections.open(caller("192.0.2.1")).unwrap();
        assert_eq!(slot.reading(&context).unwrap(), Reading::Head { number: 0 });
        let answering = slot.answer();
        assert_eq!(slot.reading(&context).unwrap(), Reading::Nothing);
        let stalled: std::pin::Pin<Box<dyn futures_util::Stream<Item = _>>> =
            Box::pin(futures_util::stream::pending());
        let mut payload = answering.payload(actix_web::dev::Payload::Stream { payload: stalled });
        let polled = futures_util::Stream::poll_next(
            std::pin::Pin::new(&mut payload),
            &mut Context::from_waker(&waker),
        );
        assert!(polled.is_pending());
        let Reading::Body(wanted) = slot.reading(&context).unwrap() else { panic!("nobody reads it") };
        slot.body_was_read(wanted);
        assert_eq!(slot.reading(&context).unwrap(), Reading::Nothing);
        drop(answering);
        assert_eq!(slot.reading(&context).unwrap(), Reading::Head { number: 1 });
        let before = woken.0.load(Ordering::Relaxed);
        let _other = connections.open(caller("192.0.2.2")).unwrap();
        assert_eq!(woken.0.load(Ordering::Relaxed), before + 1);
        assert!(slot.reading(&context).is_err());
    }
}
