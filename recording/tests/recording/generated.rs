//! Events as a terminal could give them.

use proptest::prelude::*;
use recording::{
    Cause, ExitStatus, Micros, Shortfall, ShortfallKind, TerminalEvent, TerminalEventKind, TerminalSize,
};

/// Any shortfall, one without a stated cause among them. What happened before happened a moment before.
fn shortfalls() -> impl Strategy<Value = Shortfall> {
    let unstated = (any::<String>(), any::<u64>()).prop_map(|(reason, lost_bytes)| {
        Shortfall::new(ShortfallKind::Gap, Cause::UNSTATED, reason).with_lost_bytes(lost_bytes)
    });
    let kind = (0..ShortfallKind::ALL.len()).prop_map(|place| ShortfallKind::ALL[place]);
    let stated = (kind, "[a-z][a-z_]{0,2}", any::<String>(), any::<u64>(), any::<u64>(), any::<bool>());
    let stated = stated.prop_map(|(kind, cause, reason, lost_bytes, count, before)| {
        let shortfall =
            Shortfall::new(kind, Cause::parse(&cause).unwrap(), reason).with_lost_bytes(lost_bytes);
        if before { shortfall.counted(count, Micros::ZERO) } else { shortfall }
    });
    prop_oneof![unstated, stated]
}

/// Any bytes, pieces of UTF-8 split anywhere, to either output, resizes and shortfalls, at times that never decrease, and perhaps an exit.
pub(crate) fn terminal_events() -> impl Strategy<Value = Vec<TerminalEvent>> {
    let output = prop_oneof![
        3 => proptest::collection::vec(any::<u8>(), 0..40),
        3 => "(\\PC|[\u{0}-\u{1f}\u{7f}\"\\\\\u{2028}€𝄞é]){0,20}".prop_map(String::into_bytes),
        // A text of long characters, cut at any byte: neighbours complete each other or do not.
        3 => ("[€𝄞éa]{1,12}", 0usize..40, any::<bool>()).prop_map(|(text, place, head)| {
            let bytes = text.into_bytes();
            let place = place.min(bytes.len());
            if head { bytes[..place].to_vec() } else { bytes[place..].to_vec() }
        }),
    ];
    let kind = prop_oneof![
        9 => output.clone().prop_map(TerminalEventKind::Output),
        4 => output.prop_map(TerminalEventKind::ErrorOutput),
        1 => (any::<u16>(), any::<u16>())
            .prop_map(|(columns, rows)| TerminalEventKind::Resize(TerminalSize { columns, rows })),
        2 => shortfalls().prop_map(TerminalEventKind::Shortfall),
    ];
    let exit = prop_oneof![any::<u8>().prop_map(ExitStatus::Code), any::<u8>().prop_map(ExitStatus::Signal)];
    (proptest::collection::vec((0u64..3_000_000, kind), 0..60), proptest::option::of(exit)).prop_map(
        |(steps, exit)| {
            let mut at = 0;
            let mut events: Vec<_> = steps
                .into_iter()
                .map(|(pause, kind)| {
                    at += pause;
                    let kind = match kind {
                        TerminalEventKind::Shortfall(shortfall) => {
                            let since = shortfall.since.filter(|since| since.get() < at);
                            TerminalEventKind::Shortfall(Shortfall { since, ..shortfall })
                        }
                        kind => kind,
                    };
                    TerminalEvent { at: Micros::new(at), kind }
                })
                .collect();
            events.extend(exit.map(|status| TerminalEvent::exit(Micros::new(at), status)));
            events
        },
    )
}

/// What a captured event can be compared by: each byte of output with its time, and everything else as it is.
///
/// A character that was split across reads is allowed to have the time of the read that completed it, so the
/// expected times are those of an independent model: the bytes at the end of a read that could still become a
/// character take the time of the next output of the same way; a loss and an exit end the wait.
pub(crate) fn by_byte(events: &[TerminalEvent], completes_characters: bool) -> Vec<(Micros, Item)> {
    let mut items = Vec::new();
    let mut output = Waiting { bytes: Vec::new(), item: Item::Byte };
    let mut error_output = Waiting { bytes: Vec::new(), item: Item::ErrorByte };
    for event in events {
        match &event.kind {
            TerminalEventKind::Output(bytes) => {
                items.extend(output.take(event.at, bytes, completes_characters))
            }
            TerminalEventKind::ErrorOutput(bytes) => {
                items.extend(error_output.take(event.at, bytes, completes_characters));
            }
            other => {
                let waits = match other {
                    TerminalEventKind::Resize(_) => true,
                    TerminalEventKind::Shortfall(shortfall) => !shortfall.kind.is_loss(),
                    _ => false,
                };
                if !waits {
                    items.extend(output.take(event.at, b"", false));
                    items.extend(error_output.take(event.at, b"", false));
                }
                items.push((event.at, Item::Other(other.clone())));
            }
        }
    }
    let end = events.last().map(|event| event.at).unwrap_or_default();
    items.extend(output.take(end, b"", false));
    items.extend(error_output.take(end, b"", false));
    items
}

struct Waiting {
    bytes: Vec<u8>,
    item: fn(u8) -> Item,
}

impl Waiting {
    fn take(&mut self, at: Micros, bytes: &[u8], completes_characters: bool) -> Vec<(Micros, Item)> {
        self.bytes.extend_from_slice(bytes);
        let held = if completes_characters { begun(&self.bytes) } else { 0 };
        let rest = self.bytes.split_off(self.bytes.len() - held);
        let whole = std::mem::replace(&mut self.bytes, rest);
        whole.into_iter().map(|byte| (at, (self.item)(byte))).collect()
    }
}

/// The bytes of these items in their order.
pub(crate) fn bytes_of(items: &[(Micros, Item)]) -> Vec<u8> {
    let bytes = items.iter().filter_map(|(_, item)| match item {
        Item::Byte(byte) | Item::ErrorByte(byte) => Some(*byte),
        Item::Other(_) => None,
    });
    bytes.collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Byte(u8),
    ErrorByte(u8),
    Other(TerminalEventKind),
}

/// How many bytes at the end some continuation could complete to one character: found by trying.
fn begun(bytes: &[u8]) -> usize {
    (1..=bytes.len().min(3))
        .rev()
        .find(|length| {
            let end = &bytes[bytes.len() - length..];
            let completions = [
                &[0x80][..],
                &[0xbf],
                &[0x80, 0x80],
                &[0xbf, 0x80],
                &[0x80, 0x80, 0x80],
                &[0xbf, 0x80, 0x80],
                &[0x90, 0x80, 0x80],
                &[0xa0, 0x80],
                &[0x9f, 0x80],
            ];
            std::str::from_utf8(end).is_err()
                && completions.iter().any(|completion| {
                    std::str::from_utf8(&[end, completion].concat())
                        .is_ok_and(|text| text.chars().count() == 1)
                })
        })
        .unwrap_or(0)
}
