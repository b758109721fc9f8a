use std::sync::mpsc;
use std::time::Instant;

use super::*;
use recording::{Cause, ExitStatus, Shortfall, ShortfallKind};

const FAST: Playback = Playback { speed: 1e9, idle_limit: None, raw: false };
const SIZE: TerminalSize = TerminalSize { columns: 20, rows: 5 };

fn at(seconds: u64, kind: TerminalEventKind) -> TerminalEvent {
    TerminalEvent { at: Micros::new(seconds * 1_000_000), kind }
}

fn wanted<'a>(events: &[TerminalEvent], more: Option<&'a Receiver<More>>) -> Wanted<'a> {
    Wanted {
        events: events.to_vec(),
        playback: FAST,
        more,
        goes_on: more.is_some(),
        interactive: false,
        name: "5f0c6de1c",
        note: None,
    }
}

fn run(wanted: Wanted<'_>, out: &mut Vec<u8>) -> Played {
    let sink = PaintedSink::new(SIZE, None, out);
    Player::new(wanted, sink).run(&mut Keyboard::take(false), || None).unwrap()
}

#[test]
fn everything_is_shown_and_noted() {
    let limit = Shortfall::new(ShortfallKind::StatedLimit, Cause::OTHER, "that was all");
    let events = [
        TerminalEvent::output(Micros::ZERO, "one\r\n"),
        at(5, TerminalEventKind::Resize(TerminalSize { columns: 10, rows: 3 })),
        TerminalEvent::gap(Micros::new(6_000_000), "spool was full", 7),
        TerminalEvent::shortfall(Micros::new(6_500_000), limit.clone()),
        TerminalEvent::output(Micros::new(7_000_000), "two\x1b[5n"),
        TerminalEvent::exit(Micros::new(8_000_000), ExitStatus::Code(3)),
    ];
    let TerminalEventKind::Shortfall(gap) = events[2].kind.clone() else { unreachable!() };
    let mut out = Vec::new();
    let played = run(wanted(&events, None), &mut out);
    assert_eq!(
        played,
        Played {
            shortfalls: vec![(Micros::new(6_000_000), gap), (Micros::new(6_500_000), limit)],
            exit: Some(ExitStatus::Code(3)),
            length: Duration::from_secs(8),
            goes_on: false,
            left: false,
        }
    );
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("one") && text.contains("two") && !text.contains("[5n"), "{text:?}");
    assert!(!text.contains("playing") && !text.contains("5f0c6de1c"), "no status line: {text:?}");
}

#[test]
fn what_arrives_later_is_played_until_nothing_more_can() {
    let (sender, more) = mpsc::channel();
    let events = [TerminalEvent::output(Micros::ZERO, "one\r\n")];
    sender.send(More::Events(vec![TerminalEvent::output(Micros::new(1_000_000), "two")])).unwrap();
    let later = std::thread::spawn(move || {
        sender.send(More::Trouble("no answer".to_owned())).unwrap();
        sender
            .send(More::Events(vec![TerminalEvent::exit(Micros::new(2_000_000), ExitStatus::Code(0))]))
            .unwrap();
        sender.send(More::Ended).unwrap();
    });
    let mut out = Vec::new();
    let played = run(wanted(&events, Some(&more)), &mut out);
    later.join().unwrap();
    assert_eq!((played.exit, played.goes_on, played.left), (Some(ExitStatus::Code(0)), false, false));
    assert!(String::from_utf8(out).unwrap().contains("two"));
}

#[test]
fn what_nobody_follows_any_more_still_goes_on() {
    let (sender, more) = mpsc::channel::<More>();
    drop(sender);
    let played = run(wanted(&[TerminalEvent::output(Micros::ZERO, "one")], Some(&more)), &mut Vec::new());
    assert_eq!((played.exit, played.goes_on), (None, true));
}

#[test]
fn the_largest_size_counts_the_resizes() {
    let size = |columns, rows| TerminalSize { columns, rows };
    let resize = |seconds, columns, rows| at(seconds, TerminalEventKind::Resize(size(columns, rows)));
    assert_eq!(largest_size(size(80, 24), &[]), size(80, 24));
    assert_eq!(largest_size(size(80, 24), &[resize(1, 140, 20), resize(2, 60, 40)]), size(140, 40));
}

#[test]
fn what_will_not_be_seen_is_said() {
    let size = |columns, rows| TerminalSize { columns, rows };
    assert_eq!(cut_off(size(80, 24), size(80, 24), None), None);
    assert_eq!(cut_off(size(1200, 24), size(1200, 24), None), None);
    assert_eq!(cut_off(size(80, 24), size(80, 24), Some(size(80, 25))), None);
    // The status line takes a row.
    assert_eq!(cut_off(size(80, 24), size(80, 24), Some(size(80, 24))).as_deref(), Some("of 80x24"));
    assert_eq!(cut_off(size(80, 24), size(120, 24), Some(size(80, 30))).as_deref(), Some("of up to 120x24"));
    let wide = size(5000, 24);
    assert_eq!(cut_off(wide, wide, Some(size(5000, 30))).as_deref(), Some("of 5000x24"));
}

#[test]
fn raw_is_what_was_recorded_and_a_terminal_is_put_right() {
    let events = [TerminalEvent::output(Micros::ZERO, vec![0x1b, b'[', b'5', b'n', 0xff])];
    let play = |is_terminal| {
        let mut out = Vec::new();
        let sink = RawSink::begin(&mut out, is_terminal).unwrap();
        Player::new(wanted(&events, None), sink).run(&mut Keyboard::take(false), || None).unwrap();
        out
    };
    assert_eq!(play(false), [0x1b, b'[', b'5', b'n', 0xff]);
    let shown = String::from_utf8_lossy(&play(true)).into_owned();
    assert!(shown.starts_with("\x1b[22;0t\x1b[5n") && shown.contains("\x1b[?1049l"), "{shown:?}");
}

#[test]
fn a_panic_leaves_the_terminal_in_order() {
    let mut out = Vec::new();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut sink = PaintedSink::new(SIZE, Some(SIZE), &mut out);
        sinks::Sink::event(&mut sink, 0, &TerminalEvent::output(Micros::ZERO, "\x1b[31mred")).unwrap();
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(panicked.is_err());
    assert!(out.ends_with(b"\x1b[0m\n"), "{:?}", String::from_utf8_lossy(&out));
    let mut raw = Vec::new();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _sink = RawSink::begin(&mut raw, true).unwrap();
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(panicked.is_err());
    assert!(String::from_utf8_lossy(&raw).contains("\x1b[?1049l"));
}

/// A painted sink for a viewer who can go back, its output, and events of a second each.
fn sought(events: &[TerminalEvent], order: &[usize]) -> Vec<String> {
    use sinks::Sink as _;
    let view = TerminalSize { columns: 20, rows: 6 };
    let mut out = Vec::new();
    let mut sink = PaintedSink::new(SIZE, Some(view), &mut out);
    let mut taken = 0;
    for to in order {
        // However often the way is interrupted.
        let until = Instant::now();
        while taken != *to {
            taken = sink.go_to(events, taken, *to, until).unwrap().unwrap();
            assert!(taken <= *to, "it is on its way");
        }
        let status = status::Status {
            mark: status::Mark::Paused,
            position: Duration::ZERO,
            length: Duration::ZERO,
            goes_on: false,
            speed: 1.0,
            name: "x",
            notes: [None, None],
        };
        sink.show(&status, false).unwrap();
    }
    drop(sink);
    let mut viewer = avt::Terminal::new(20, 6).unwrap();
    // The last line feed scrolls nothing, since the status line's row is left.
    viewer.feed(String::from_utf8(out).unwrap().as_str());
    viewer.screen().visible_lines().map(|line| line.text().trim_end().to_owned()).collect()
}

#[test]
fn wherever_one_comes_from_a_place_looks_the_same() {
    let mut events: Vec<_> = (0..3000)
        .map(|number| {
            let text = format!("\x1b[3{}m{}line {number}\r\n", number % 8, " ".repeat(200));
            TerminalEvent::output(Micros::new(number * 1_000_000), text)
        })
        .collect();
    events.insert(1500, at(1500, TerminalEventKind::Resize(TerminalSize { columns: 15, rows: 4 })));
    for place in [0, 1, 700, 1499, 1500, 1501, 1502, 2900, 3001] {
        let straight = sought(&events, &[place]);
        assert_eq!(sought(&events, &[3001, place]), straight, "{place}");
        assert_eq!(sought(&events, &[2000, 100, 2500, place]), straight, "{place}");
    }
}

/// Run with `--ignored` and `--nocapture` for the numbers; a debug build takes many times as long.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stderr, reason = "it prints what it measures")]
fn measure_seeking_in_a_long_recording() {
    use sinks::Sink as _;
    let line =
        "\x1b[32mINFO\x1b[0m request took 12 ms, user=ana path=/api/v1/recordings/5f0c6de1 status=200\r\n";
    let events: Vec<_> =
        (0..1_000_000).map(|number| TerminalEvent::output(Micros::new(number * 10_000), line)).collect();
    let size = TerminalSize { columns: 80, rows: 24 };
    let mut sink = PaintedSink::new(size, Some(size), Vec::new());
    let mut taken = 0;
    for to in [events.len(), 0, events.len() / 2, events.len() / 2 - 500, events.len() - 1, 1000] {
        let started = Instant::now();
        let until = started + Duration::from_secs(600);
        assert_eq!(sink.go_to(&events, taken, to, until).unwrap(), Some(to));
        eprintln!(
            "from {taken} to {to} of {} events of {} bytes: {:?}",
            events.len(),
            line.len(),
            started.elapsed()
        );
        taken = to;
    }
}
