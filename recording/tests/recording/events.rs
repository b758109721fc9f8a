//! Whatever is spooled as events stands in the segments, wherever they are cut and whoever goes on after a cut.

use proptest::prelude::*;
use recording::events::{decode_segment, read_lines};
use recording::{
    Compressor, CutPolicy, EventLine, EventsCutter, EventsState, EvidenceName, Integrity, Manifest, Micros,
    RecordKind, Segment, SpoolReader, SpoolRecord, SpoolWriter, Stream, TerminalEvent, TerminalEventKind,
    seal,
};
use serde_json::{Map, Value};

use crate::sealed::{check, key, put, put_sealed, record, sample_events, start};

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn lines() -> impl Strategy<Value = Vec<EventLine>> {
    let members = proptest::collection::btree_map("[a-z_]{1,8}", values(), 0..4);
    let event = ("[a-z0-9_]{1,40}", members).prop_map(|(event, members)| {
        let mut members: Map<String, Value> = members.into_iter().collect();
        members.retain(|name, _| name != "at" && name != "event");
        EventLine { at: Micros::ZERO, event, members }
    });
    let gap = ("[a-zA-Z \u{e9}\"]{0,20}", any::<u64>()).prop_map(|(reason, lost)| {
        let TerminalEventKind::Shortfall(gap) = TerminalEvent::gap(Micros::ZERO, &reason, lost).kind else {
            unreachable!("a gap is a shortfall")
        };
        EventLine::shortfall(Micros::ZERO, &gap)
    });
    proptest::collection::vec((0u64..3_000_000, prop_oneof![5 => event, 1 => gap]), 0..40).prop_map(|lines| {
        let mut now = 0;
        lines
            .into_iter()
            .map(|(pause, line)| {
                now += pause;
                EventLine { at: Micros::new(now), ..line }
            })
            .collect()
    })
}

/// The spool of these lines: a gap as the agent writes it, anything else as an event.
fn spool(lines: &[EventLine]) -> Vec<u8> {
    let mut spool = SpoolWriter::new(Vec::new(), 0);
    for line in lines {
        let lost = line.members.get("lost_bytes").and_then(Value::as_u64).unwrap_or(0);
        match line.members.get("reason").and_then(Value::as_str) {
            Some(reason) if line.event == "gap" => {
                spool.append_terminal(&TerminalEvent::gap(line.at, reason, lost))
            }
            _ => spool.append_event(line),
        }
        .unwrap();
    }
    spool.into_inner()
}

/// Cuts after the records with these places, each time going on in a new cutter as after a restart.
fn cut(document: &[u8], spool: &[u8], cuts: &[usize]) -> (Vec<Segment>, EventsState) {
    let mut compressor = Compressor::new().unwrap();
    let mut cutter = EventsCutter::new(&start(), document, CutPolicy::default());
    let mut segments = Vec::new();
    let mut reader = SpoolReader::new(spool, 0);
    let mut place = 0;
    while let Some(record) = reader.next_record().unwrap() {
        cutter.push_record(&record).unwrap();
        if cuts.contains(&place) {
            segments.extend(cutter.cut(&mut compressor).unwrap());
            let kept = serde_json::to_string(cutter.state()).unwrap();
            cutter = EventsCutter::resume(serde_json::from_str(&kept).unwrap(), CutPolicy::default());
        }
        place += 1;
    }
    segments.extend(cutter.cut(&mut compressor).unwrap());
    (segments, cutter.state().clone())
}

proptest! {
    #[test]
    fn what_was_spooled_stands_in_the_segments_and_is_verified(
        lines in lines(),
        cuts in proptest::collection::vec(0usize..40, 0..6),
    ) {
        let document = start().to_document();
        let (segments, state) = cut(&document, &spool(&lines), &cuts);
        let mut read = Vec::new();
        for segment in &segments {
            let decoded = decode_segment(&segment.bytes).unwrap();
            prop_assert_eq!(&decoded.header, &segment.header);
            prop_assert_eq!(decoded.content.last_at, segment.last_at);
            prop_assert_eq!(&decoded.content.totals, &segment.totals);
            read.extend(read_lines(&decoded.text).unwrap().map(|line| line.unwrap()));
        }
        prop_assert_eq!(&read, &lines);

        let mut source = record(&sample_events(), &[2]);
        for segment in &segments {
            let name = EvidenceName::Segment { stream: Stream::Events, number: segment.header.number };
            put(&mut source, name, &segment.bytes);
        }
        if !segments.is_empty() {
            let name = EvidenceName::Manifest(0).to_object_name();
            let mut manifest = Manifest::parse(&source.objects[&name]).unwrap();
            manifest.streams.push(state.stream_entry(segments.iter().map(Segment::entry).collect()));
            manifest.duration = manifest.duration.max(state.last_at);
            manifest.ended_at = manifest.started_at.plus(manifest.duration.as_duration());
            put_sealed(&mut source, 0, &seal(&manifest, &key()));
        }
        let verification = check(&source);
        prop_assert_eq!(&verification.integrity, &Integrity::Complete { manifest: 0 });
        prop_assert_eq!(verification.streams.len(), 1 + usize::from(!segments.is_empty()));
    }

    #[test]
    fn any_record_is_taken_whole_or_not_at_all(
        kind in 0u8..9,
        at in any::<u64>(),
        payload in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..60),
            "\\{\"event\":\"[a-zA-Z]{0,3}\"(,\"[a-e]{1,2}\":[0-9]{1,3})?\\}?".prop_map(String::into_bytes),
        ],
    ) {
        let mut cutter = EventsCutter::new(&start(), &start().to_document(), CutPolicy::default());
        let record = SpoolRecord { at: Micros::new(at), kind: RecordKind(kind), payload: &payload };
        let taken = cutter.push_record(&record).is_ok();
        let segment = cutter.cut(&mut Compressor::new().unwrap()).unwrap();
        prop_assert_eq!(taken, segment.is_some());
        if let Some(segment) = segment {
            let decoded = decode_segment(&segment.bytes).unwrap();
            prop_assert_eq!(decoded.content.totals.events(), 1);
        }
    }
}
