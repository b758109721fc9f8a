//! Events as a terminal could give them.

use proptest::prelude::*;
use recording::{ExitStatus, Gap, Micros, TerminalEvent, TerminalEventKind, TerminalSize};

/// Any bytes, pieces of UTF-8 split anywhere, resizes and gaps, at times that never decrease, and perhaps an exit.
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
        12 => output.prop_map(TerminalEventKind::Output),
        1 => (any::<u16>(), any::<u16>())
            .prop_map(|(columns, rows)| TerminalEventKind::Resize(TerminalSize { columns, rows })),
        1 => (any::<String>(), any::<u64>())
            .prop_map(|(reason, lost_bytes)| TerminalEventKind::Gap(Gap { reason, lost_bytes })),
    ];
    let exit = prop_oneof![any::<u8>().prop_map(ExitStatus::Code), any::<u8>().prop_map(ExitStatus::Signal)];
    (proptest::collection::vec((0u64..3_000_000, kind), 0..60), proptest::option::of(exit)).prop_map(
        |(steps, exit)| {
            let mut at = 0;
            let mut events: Vec<_> = steps
                .into_iter()
                .map(|(pause, kind)| {
                    at += pause;
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
/// character take the time of the next output; a gap and an exit end the wait.
pub(crate) fn by_byte(events: &[TerminalEvent], completes_characters: bool) -> Vec<(Micros, Item)> {
    let mut items = Vec::new();
    let mut waiting: Vec<u8> = Vec::new();
    for event in events {
        match &event.kind {
            TerminalEventKind::Output(bytes) => {
                waiting.extend_from_slice(bytes);
                let held = if completes_characters { begun(&waiting) } else { 0 };
                let rest = waiting.split_off(waiting.len() - held);
                items.extend(waiting.drain(..).map(|byte| (event.at, Item::Byte(byte))));
                waiting = rest;
            }
            other => {
                if !matches!(other, TerminalEventKind::Resize(_)) {
                    items.extend(waiting.drain(..).map(|byte| (event.at, Item::Byte(byte))));
                }
                items.push((event.at, Item::Other(other.clone())));
            }
        }
    }
    let end = events.last().map(|event| event.at).unwrap_or_default();
    items.extend(waiting.drain(..).map(|byte| (end, Item::Byte(byte))));
    items
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Byte(u8),
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
