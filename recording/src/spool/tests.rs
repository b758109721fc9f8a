//! Tests what a spool keeps, and what can be read of a torn or damaged one.

use super::*;

fn spool_of(events: &[TerminalEvent]) -> (Vec<u8>, Vec<u64>) {
    let mut writer = SpoolWriter::new(Vec::new(), 0);
    let ends = events.iter().map(|event| writer.append_terminal(event).unwrap()).collect();
    (writer.into_inner(), ends)
}

fn read_all(bytes: &[u8]) -> (Vec<TerminalEvent>, u64, Trailing) {
    let mut reader = SpoolReader::new(bytes, 0);
    let mut events = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        events.push(record.terminal_event().unwrap());
    }
    (events, reader.good_end(), reader.trailing())
}

fn sample() -> Vec<TerminalEvent> {
    vec![
        TerminalEvent::output(Micros::new(1), "hello \u{1b}[1m\r\n"),
        TerminalEvent::resize(Micros::new(2), TerminalSize { columns: 300, rows: 65535 }),
        TerminalEvent::gap(Micros::new(3), "the disk was full", 77),
        TerminalEvent::output(Micros::new(4), [0, 255, 128]),
        TerminalEvent::exit(Micros::LATEST, ExitStatus::Signal(9)),
    ]
}

#[test]
fn a_spool_torn_at_any_byte_keeps_every_whole_record() {
    let events = sample();
    let (bytes, ends) = spool_of(&events);
    for length in 0..=bytes.len() {
        let whole = ends.iter().filter(|end| **end <= length as u64).count();
        let (read, good_end, trailing) = read_all(&bytes[..length]);
        assert_eq!(read, events[..whole]);
        let expected_end = if whole == 0 { 0 } else { ends[whole - 1] };
        assert_eq!(good_end, expected_end);
        let left = length as u64 - expected_end;
        assert_eq!(
            trailing,
            if left == 0 { Trailing::Nothing } else { Trailing::Incomplete { bytes: left } }
        );
    }
}

#[test]
fn a_flipped_byte_ends_the_spool_before_its_record() {
    let events = sample();
    let (bytes, ends) = spool_of(&events);
    for place in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[place] ^= flip;
            let before = ends.iter().filter(|end| **end <= place as u64).count();
            let (read, good_end, trailing) = read_all(&damaged);
            assert_eq!(read, events[..before], "byte {place}");
            assert_eq!(good_end, if before == 0 { 0 } else { ends[before - 1] });
            assert_ne!(trailing, Trailing::Nothing);
        }
    }
}

#[test]
fn a_tail_of_zeros_is_damage() {
    let (mut bytes, ends) = spool_of(&sample());
    bytes.resize(bytes.len() + 4096, 0);
    let (read, good_end, trailing) = read_all(&bytes);
    assert_eq!((read.len(), good_end, trailing), (5, *ends.last().unwrap(), Trailing::Damaged));
}

/// What a search finds when it is interrupted as often as it lets itself be, and how often that was.
fn searched(bytes: &[u8], offset: u64) -> (Searched, usize) {
    let mut search = DamageSearch::new(offset);
    let mut source = io::Cursor::new(bytes);
    for pauses in 0.. {
        match search.advance(&mut source, |_, offset| Ok(Some(offset)), || false).unwrap() {
            Searched::Paused => {}
            searched => return (searched, pauses),
        }
    }
    unreachable!("a search is bounded")
}

/// What is read when damage is skipped, and the skipped bytes.
fn read_past_damage(bytes: &[u8]) -> (Vec<TerminalEvent>, Vec<u64>) {
    let mut begin = 0;
    let (mut events, mut passed) = (Vec::new(), Vec::new());
    loop {
        let mut reader = SpoolReader::new(&bytes[usize::try_from(begin).unwrap()..], begin);
        while let Some(record) = reader.next_record().unwrap() {
            events.push(record.terminal_event().unwrap());
        }
        let damage = reader.good_end();
        if reader.trailing() == Trailing::Nothing {
            assert_eq!(damage, bytes.len() as u64);
            return (events, passed);
        }
        match searched(bytes, damage).0 {
            Searched::Found { offset } => {
                passed.push(offset - damage);
                begin = offset;
            }
            Searched::Nothing => return (events, passed),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn only_the_damaged_record_is_lost() {
    let events = sample();
    let (bytes, ends) = spool_of(&events);
    // The last record has none behind it to go on with.
    for place in 0..usize::try_from(ends[3]).unwrap() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[place] ^= flip;
            let hit = ends.iter().filter(|end| **end <= place as u64).count();
            let before = if hit == 0 { 0 } else { ends[hit - 1] };
            let mut expected = events.clone();
            expected.remove(hit);
            assert_eq!(read_past_damage(&damaged), (expected, vec![ends[hit] - before]), "byte {place}");
        }
    }
    let mut end = bytes.clone();
    *end.last_mut().unwrap() ^= 1;
    assert_eq!(read_past_damage(&end), (events[..4].to_vec(), vec![]));
}

#[test]
fn a_long_hole_is_skipped() {
    let events = sample();
    let (bytes, _) = spool_of(&events);
    for filler in [0_u8, 1, 0xff] {
        let hole = vec![filler; 3 * MAX_PAYLOAD_BYTES];
        let (read, passed) = read_past_damage(&[&bytes, &hole[..], &bytes].concat());
        assert_eq!(read.len(), 2 * events.len(), "{filler}");
        assert_eq!(passed.iter().sum::<u64>(), hole.len() as u64);
    }
}

#[test]
fn a_hole_is_skipped_without_being_read() {
    /// A terabyte of nothing between two spools. What is read of it is counted.
    struct Sparse<'a> {
        begin: &'a [u8],
        end: &'a [u8],
        at: u64,
        read: usize,
    }
    const HOLE: u64 = 1 << 40;
    impl Read for Sparse<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let (first, hole_end) = (self.begin.len() as u64, self.begin.len() as u64 + HOLE);
            let total = hole_end + self.end.len() as u64;
            let mut count = 0;
            while count < buffer.len() && self.at < total {
                buffer[count] = if self.at < first {
                    self.begin[usize::try_from(self.at).unwrap()]
                } else if self.at < hole_end {
                    0
                } else {
                    self.end[usize::try_from(self.at - hole_end).unwrap()]
                };
                count += 1;
                self.at += 1;
            }
            self.read += count;
            Ok(count)
        }
    }
    impl io::Seek for Sparse<'_> {
        fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
            let io::SeekFrom::Start(to) = to else { panic!("{to:?}") };
            self.at = to;
            Ok(to)
        }
    }
    let (bytes, _) = spool_of(&sample());
    let first = bytes.len() as u64;
    for end in [&bytes[..], &[0; 100], &[]] {
        let mut sparse = Sparse { begin: &bytes, end, at: 0, read: 0 };
        let next_data = |_: &mut Sparse<'_>, offset: u64| {
            let data = if offset < first { offset } else { offset.max(first + HOLE) };
            Ok((data < first + HOLE + end.len() as u64).then_some(data))
        };
        let searched = DamageSearch::new(first).advance(&mut sparse, next_data, || true).unwrap();
        let expected = match end.len() {
            0 | 100 => Searched::Nothing,
            _ => Searched::Found { offset: first + HOLE },
        };
        assert_eq!(searched, expected);
        assert!(sparse.read < 1_000_000, "{} bytes are read", sparse.read);
    }
}

#[test]
fn a_search_is_bounded_and_can_be_interrupted() {
    // Every fifth byte could begin a record whose checksum costs 128 KiB.
    let dear = [0, 1, 0xff, 0xff, 0xff].repeat(200_000);
    let (given_up, pauses) = searched(&dear, 0);
    assert_eq!(given_up, Searched::GivenUp);
    assert!(pauses > 10, "{pauses} pauses");
    let (bytes, _) = spool_of(&sample());
    let junk = vec![0xff; 1_000_000];
    let (found, pauses) = searched(&[&junk[..], &bytes].concat(), 0);
    assert_eq!(found, Searched::Found { offset: 1_000_000 });
    assert!(pauses > 10, "{pauses} pauses");
}

#[test]
fn printed_text_is_not_taken_for_a_record() {
    let (forged, _) = spool_of(&[TerminalEvent::exit(Micros::new(1), ExitStatus::Code(0))]);
    let events =
        [TerminalEvent::output(Micros::new(1), forged), TerminalEvent::output(Micros::new(2), "next")];
    let (bytes, ends) = spool_of(&events);
    for place in [4, 16, usize::try_from(ends[0]).unwrap() - 1] {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        assert_eq!(read_past_damage(&damaged), (events[1..].to_vec(), vec![ends[0]]));
        let alone = &damaged[..usize::try_from(ends[0]).unwrap()];
        assert_eq!(read_past_damage(alone), (vec![], vec![]));
    }
}

#[test]
fn a_growing_spool_is_read_further() {
    struct Growing<'a> {
        bytes: &'a [u8],
        given: usize,
        pause: bool,
    }
    impl Read for Growing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.pause = !self.pause;
            if self.pause || self.given == self.bytes.len() {
                return Ok(0);
            }
            buffer[0] = self.bytes[self.given];
            self.given += 1;
            Ok(1)
        }
    }
    let events = sample();
    let (bytes, ends) = spool_of(&events);
    let mut reader = SpoolReader::new(Growing { bytes: &bytes, given: 0, pause: false }, 0);
    let mut read = Vec::new();
    for _ in 0..3 * bytes.len() {
        if let Some(record) = reader.next_record().unwrap() {
            read.push(record.terminal_event().unwrap());
            assert_eq!(reader.good_end(), ends[read.len() - 1]);
        }
    }
    assert_eq!(read, events);
    let mut resumed = SpoolReader::new(&bytes[usize::try_from(ends[2]).unwrap()..], ends[2]);
    assert_eq!(resumed.next_record().unwrap().unwrap().terminal_event().unwrap(), events[3]);
    assert_eq!(resumed.good_end(), ends[3]);
}

#[test]
fn a_writer_that_failed_writes_no_more() {
    struct Full(Vec<u8>);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = 30usize.saturating_sub(self.0.len()).min(bytes.len());
            self.0.extend_from_slice(&bytes[..room]);
            if room == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(room) }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = SpoolWriter::new(Full(Vec::new()), 0);
    let first = writer.append(Micros::ZERO, RecordKind::TERMINAL_OUTPUT, b"abc").unwrap();
    assert_eq!(
        writer.append(Micros::ZERO, RecordKind::EXIT, &[0, 0]).unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    let refused = writer.append(Micros::ZERO, RecordKind::EXIT, &[]).unwrap_err().to_string();
    assert!(refused.contains("cut it to 20 bytes"), "{refused}");
    assert_eq!(writer.good_end(), first);
    let (read, good_end, trailing) = read_all(&writer.into_inner().0);
    assert_eq!((read.len(), good_end, trailing), (1, 20, Trailing::Incomplete { bytes: 10 }));
}

#[test]
fn each_batch_is_one_write_and_long_output_is_split() {
    struct Counting(Vec<usize>);
    impl Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = SpoolWriter::new(Counting(Vec::new()), 0);
    let long = vec![7; MAX_PAYLOAD_BYTES + 1];
    writer.append_terminal(&TerminalEvent::output(Micros::ZERO, long.clone())).unwrap();
    assert_eq!(writer.get_mut().0, [MAX_PAYLOAD_BYTES + 1 + 2 * RECORD_HEADER_BYTES]);
    let refused = writer.append(Micros::ZERO, RecordKind::TERMINAL_OUTPUT, &long).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    writer.append(Micros::ZERO, RecordKind::TERMINAL_OUTPUT, b"the writer goes on").unwrap();
}

#[test]
fn records_that_hold_something_else_are_refused() {
    for (kind, payload) in [
        (0, &b""[..]),
        (2, b"abc"),
        (3, b"1234567"),
        (3, b"12345678\xff"),
        (4, b""),
        (4, &[2, 0]),
        (3, &[b'x'; 8 + MAX_REASON_BYTES + 1]),
        (9, b""),
    ] {
        let record = SpoolRecord { at: Micros::ZERO, kind: RecordKind(kind), payload };
        assert!(record.terminal_event().is_err(), "{kind} {payload:?}");
    }
    let at = Micros::new(Micros::LATEST.get() + 1);
    let late = SpoolRecord { at, kind: RecordKind::EXIT, payload: &[0, 0] };
    assert!(late.terminal_event().is_err());
}
