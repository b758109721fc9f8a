use proptest::prelude::*;

use super::*;

const SIZE: TerminalSize = TerminalSize { columns: 20, rows: 5 };

fn painted(painter: &mut Painter) -> String {
    let mut out = String::new();
    painter.paint(&mut out);
    out
}

/// Everything in `out` is what this module says it paints.
fn only_what_is_allowed(out: &str) -> Result<(), String> {
    let mut characters = out.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            if characters.next() != Some('[') {
                return Err("an escape that is no CSI".into());
            }
            let last = characters.find(|c| !(c.is_ascii_digit() || *c == ';'));
            if !matches!(last, Some('H' | 'm')) {
                return Err(format!("a CSI that ends in {last:?}"));
            }
        } else if character != '\n' && is_unsafe(character) {
            return Err(format!("{character:?}"));
        }
    }
    Ok(())
}

#[derive(Debug, Clone)]
enum Step {
    Output(Vec<u8>),
    Resize(u16, u16),
    View(u16, u16),
    Paint,
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let sequence = prop_oneof![
        any::<Vec<u8>>(),
        "\\PC{0,30}".prop_map(String::into_bytes),
        "[\u{0}-\u{1f}\u{7f}-\u{9f}\u{200b}-\u{200f}\u{202a}-\u{202e}\u{2066}-\u{2069}\u{300}日é]{0,10}"
            .prop_map(String::into_bytes),
        "\u{1b}\\[[?>=0-9;:]{0,12}[@-~]".prop_map(String::into_bytes),
        "\u{1b}[\\]PX^_][ -~]{0,20}(\u{7}|\u{1b}\\\\)".prop_map(String::into_bytes),
        "\u{1b}[ -/]{0,2}[0-~]".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(sequence, 1..6).prop_map(|parts| parts.concat())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => hostile().prop_map(Step::Output),
        1 => (0u16..300, 0u16..100).prop_map(|(c, r)| Step::Resize(c, r)),
        1 => (0u16..300, 0u16..100).prop_map(|(c, r)| Step::View(c, r)),
        3 => Just(Step::Paint),
    ]
}

/// The screen of a terminal that was given `out`.
fn seen(out: &str, size: TerminalSize) -> Vec<String> {
    let mut viewer = Terminal::new(size.columns.into(), size.rows.into()).unwrap();
    viewer.feed(out);
    viewer.screen().visible_lines().map(Line::text).collect()
}

#[test]
fn text_colours_and_places_arrive() {
    let mut painter = Painter::new(SIZE, None);
    painter.output(b"\x1b[31;1mred\x1b[0m plain\r\n\x1b[48;2;1;2;3mx\x1b]0;title\x07\x1b[6n");
    let out = painted(&mut painter);
    assert!(out.contains("\x1b[0;1;31mred\x1b[0m plain"), "{out:?}");
    assert!(out.contains("\x1b[0;48;2;1;2;3mx\x1b[0m"), "{out:?}");
    assert!(!out.contains("title") && !out.contains("[6n"), "{out:?}");
    assert!(out.ends_with("\x1b[2;2H"), "{out:?}");
    assert_eq!(seen(&out, SIZE)[..2], [format!("{:20}", "red plain"), format!("{:20}", "x")]);
    assert_eq!(painted(&mut painter), "\x1b[2;2H", "nothing changed, so only the cursor is placed");
}

#[test]
fn lines_that_scroll_out_reach_the_viewers_history() {
    let mut painter = Painter::new(SIZE, None);
    let mut out = String::new();
    for number in 0..100 {
        painter.output(format!("line {number}\r\n").as_bytes());
    }
    painter.paint(&mut out);
    let mut viewer = Terminal::with_scrollback(20, 5, None).unwrap();
    viewer.feed(out.as_str());
    let text: Vec<String> = viewer.screen().all_lines().map(|l| l.text().trim_end().to_owned()).collect();
    for number in 0..100 {
        assert!(text.contains(&format!("line {number}")), "line {number} is missing");
    }
    assert_eq!(painter.backlog(), 0);
}

#[test]
fn a_smaller_view_follows_the_cursor() {
    let view = TerminalSize { columns: 4, rows: 2 };
    let mut painter = Painter::new(SIZE, Some(view));
    painter.output("one\r\ntwo\r\nthree\r\n日本語".as_bytes());
    let out = painted(&mut painter);
    assert_eq!(seen(&out, view), ["thre", "日本"]);
    painter.output(b"\x1b[H");
    assert_eq!(seen(&painted(&mut painter), view), ["one ", "two "]);
}

#[test]
fn a_claimed_size_cannot_fill_the_memory() {
    let mut painter = Painter::new(TerminalSize { columns: u16::MAX, rows: u16::MAX }, Some(SIZE));
    painter.resize(TerminalSize { columns: 0, rows: 0 });
    painter.resize(TerminalSize { columns: u16::MAX, rows: u16::MAX });
    assert_eq!(painter.model.size(), (1000, 1000));
    only_what_is_allowed(&painted(&mut painter)).unwrap();
}

#[test]
fn a_cell_takes_its_width_whatever_it_contains() {
    let mut painter = Painter::new(SIZE, None);
    painter.output("e\u{301}x\u{202e}y\u{200b}z\u{fe0f}|".as_bytes());
    let out = painted(&mut painter);
    assert!(out.contains("e\u{301} x\u{fffd}y\u{fffd}z\u{fffd}|"), "{out:?}");
    only_what_is_allowed(&out).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(300)))]

    #[test]
    fn any_recording_is_painted_with_text_colours_and_moves_alone(
        steps in proptest::collection::vec(step(), 0..20)
    ) {
        let mut painter = Painter::new(SIZE, Some(SIZE));
        let mut out = String::new();
        for step in steps {
            match step {
                Step::Output(bytes) => painter.output(&bytes),
                Step::Resize(columns, rows) => painter.resize(TerminalSize { columns, rows }),
                Step::View(columns, rows) => painter.view_resized(Some(TerminalSize { columns, rows })),
                Step::Paint => painter.paint(&mut out),
            }
        }
        painter.paint(&mut out);
        painter.leave(&mut out);
        prop_assert_eq!(only_what_is_allowed(&out), Ok(()));
    }

    #[test]
    fn the_viewer_sees_what_the_recorded_terminal_showed(
        steps in proptest::collection::vec(
            prop_oneof![
                8 => "[ -~äö日\r\n\t\u{8}]{0,30}".prop_map(|text| Step::Output(text.into_bytes())),
                8 => "\u{1b}\\[[0-9]{0,2}(;[0-9]{1,2})?[ABCDHJKLMPSTXdfm@]".prop_map(|text| Step::Output(text.into_bytes())),
                8 => "\u{1b}(7|8|M|D|c|\\[\\?1049h|\\[\\?1049l)".prop_map(|text| Step::Output(text.into_bytes())),
                4 => (1u16..40, 1u16..12).prop_map(|(columns, rows)| Step::Resize(columns, rows)),
            ],
            0..30,
        )
    ) {
        // Room for every size that the recorded terminal gets.
        let view = TerminalSize { columns: 40, rows: 12 };
        let mut painter = Painter::new(SIZE, Some(view));
        let mut viewer = Terminal::new(view.columns.into(), view.rows.into()).unwrap();
        for step in steps {
            match step {
                Step::Output(bytes) => painter.output(&bytes),
                Step::Resize(columns, rows) => painter.resize(TerminalSize { columns, rows }),
                Step::View(..) | Step::Paint => {}
            }
            viewer.feed(painted(&mut painter).as_str());
            let lines = |terminal: &Terminal| -> Vec<String> {
                let lines = terminal.screen().visible_lines().map(|line| line.text().trim_end().to_owned());
                lines.collect()
            };
            let (mut shown, recorded) = (lines(&viewer), lines(&painter.model));
            let below = shown.split_off(recorded.len());
            prop_assert_eq!(shown, recorded);
            prop_assert!(below.iter().all(String::is_empty), "{:?}", below);
        }
    }
}
