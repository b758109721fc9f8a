use avt::Terminal;
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
            if !matches!(last, Some('G' | 'H' | 'm')) {
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
    Status(Option<String>),
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
        1 => proptest::option::of("\\PC{0,30}").prop_map(Step::Status),
    ]
}

/// The screen of a terminal that was given `out`.
fn seen(out: &str, size: TerminalSize) -> Vec<String> {
    let mut viewer = Terminal::new(size.columns.into(), size.rows.into()).unwrap();
    viewer.feed(out);
    viewer.screen().visible_lines().map(avt::Line::text).collect()
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

/// The recorded screen's lines as a viewer's terminal shows them that joins marks to the cell before.
fn shown_of(text: &str, columns: u16) -> (String, Vec<String>) {
    let size = TerminalSize { columns, rows: 5 };
    let mut painter = Painter::new(size, Some(size));
    painter.output(text.as_bytes());
    let out = painted(&mut painter);
    only_what_is_allowed(&out).unwrap();
    let mut viewer = Screen::new(size);
    viewer.output(out.as_bytes());
    (out, viewer.text())
}

#[test]
fn marks_join_the_cell_before_and_what_is_unsafe_takes_no_cell() {
    let (out, lines) = shown_of("e\u{301}x\u{202e}y\u{200b}z\u{ad}\u{200d}|", 20);
    assert!(out.contains("e\u{301}\u{1b}[2Gxyz|"), "{out:?}");
    assert_eq!(lines[0], "e\u{301}xyz|");
    // 40 letters with a mark fill a line of 40 columns, and no more.
    let (_, lines) = shown_of(&format!("{}|end40\r\n", "e\u{301}".repeat(40)), 40);
    assert_eq!(lines[..2], ["e\u{301}".repeat(40), "|end40".to_owned()]);
    let (_, lines) = shown_of(&format!("{}e\u{301}\u{302}\r\nnext", "x".repeat(39)), 40);
    assert_eq!(lines[..2], [format!("{}e\u{301}\u{302}", "x".repeat(39)), "next".to_owned()]);
}

#[test]
fn emoji_keep_their_columns() {
    // A heart by its selector, in whose second column other terminals may paint; and a warning sign at a column of its own.
    let (out, lines) =
        shown_of("\u{2764}\u{fe0f} ok\r\n\u{26a0}\u{fe0f}|\r\n\u{1b}[4;1H\u{26a0}\u{fe0f}\u{1b}[4;20H#", 40);
    assert!(out.contains("  \u{1b}[1G\u{2764}\u{fe0f}\u{1b}[3Gok"), "{out:?}");
    let column = |line: &str, of: char| line.chars().filter(|c| *c != '\u{fe0f}').position(|c| c == of);
    assert_eq!(column(&lines[0], 'o'), Some(2));
    assert_eq!(column(&lines[1], '|'), Some(1));
    assert_eq!(column(&lines[3], '#'), Some(19));
    // Joined people are three of two columns each, as the recorded program counted on most terminals.
    let (_, lines) = shown_of("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} fam|", 40);
    assert_eq!(lines[0], "\u{1f468}\u{1f469}\u{1f467} fam|");
    let (_, lines) = shown_of("\u{1f1e9}\u{1f1ea} 1\u{fe0f}\u{20e3} key|\u{1f44d}\u{301}|", 40);
    assert_eq!(lines[0], "\u{1f1e9}\u{1f1ea} 1\u{fe0f}\u{20e3} key|\u{1f44d}\u{301}|");
}

#[test]
fn the_status_line_has_the_lowest_row_and_leaves_no_trace() {
    let view = TerminalSize { columns: 20, rows: 4 };
    let mut painter = Painter::new(TerminalSize { columns: 20, rows: 4 }, Some(view));
    painter.set_status(Some(" playing".to_owned()));
    painter.output(b"one\r\ntwo\r\nthree\r\nfour");
    let mut viewer = Terminal::with_scrollback(20, 4, None).unwrap();
    let mut show = |painter: &mut Painter| {
        viewer.feed(painted(painter).as_str());
        viewer.screen().visible_lines().map(|line| line.text().trim_end().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(show(&mut painter), ["two", "three", "four", " playing"], "the row of the cursor is seen");
    painter.output(b"\r\nfive\r\nsix");
    assert_eq!(show(&mut painter), ["four", "five", "six", " playing"]);
    painter.set_overlay(&["help"]);
    assert_eq!(show(&mut painter)[1], "five    help", "in the middle");
    painter.set_overlay(&[]);
    assert_eq!(show(&mut painter), ["four", "five", "six", " playing"]);
    painter.set_status(None);
    assert_eq!(show(&mut painter), ["three", "four", "five", "six"]);
    painter.set_status(Some(" playing".to_owned()));
    let mut out = painted(&mut painter);
    painter.leave(&mut out);
    only_what_is_allowed(&out).unwrap();
    viewer.feed(out.as_str());
    let all: Vec<String> =
        viewer.screen().all_lines().map(|line| line.text().trim_end().to_owned()).collect();
    assert!(!all.iter().any(|line| line.contains("playing")), "{all:?}");
    assert_eq!(viewer.cursor().position(), Some((0, 3)));
    assert_eq!(all[all.len() - 4..], ["four", "five", "six", ""]);
}

#[test]
fn a_terminal_without_room_has_no_status_line() {
    let view = TerminalSize { columns: 8, rows: 1 };
    let mut painter = Painter::new(SIZE, Some(view));
    painter.set_status(Some("status".to_owned()));
    painter.output(b"one\r\ntwo");
    assert_eq!(seen(&painted(&mut painter), view), ["two     "]);
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
                Step::Status(status) => painter.set_status(status),
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
                8 => "[ -~äö日\u{301}\u{fe0f}\u{100000}\u{38000}\r\n\t\u{8}]{0,30}".prop_map(|text| Step::Output(text.into_bytes())),
                8 => "\u{1b}\\[[0-9]{0,2}(;[0-9]{1,2})?[ABCDHJKLMPSTXdfm@]".prop_map(|text| Step::Output(text.into_bytes())),
                8 => "\u{1b}(7|8|M|D|c|\\[\\?1049h|\\[\\?1049l|\\[4h|\\[4l)".prop_map(|text| Step::Output(text.into_bytes())),
                4 => (1u16..39, 1u16..12).prop_map(|(columns, rows)| Step::Resize(columns, rows)),
                2 => proptest::option::of("[!-~]{1,50}").prop_map(Step::Status),
            ],
            0..30,
        )
    ) {
        // Room for every size that the recorded terminal gets, and for the status line.
        let view = TerminalSize { columns: 40, rows: 13 };
        let mut painter = Painter::new(SIZE, Some(view));
        let mut viewer = Screen::new(view);
        for step in steps {
            match step {
                Step::Output(bytes) => painter.output(&bytes),
                Step::Resize(columns, rows) => painter.resize(TerminalSize { columns, rows }),
                Step::Status(status) => painter.set_status(status),
                Step::View(..) | Step::Paint => {}
            }
            viewer.output(painted(&mut painter).as_bytes());
            let (mut shown, recorded) = (viewer.text(), painter.screen.text());
            if let Some(status) = &painter.status {
                let lowest = shown.last_mut().unwrap();
                prop_assert_eq!(lowest.as_str(), status.get(..40).unwrap_or(status));
                lowest.clear();
            }
            let below = shown.split_off(recorded.len());
            prop_assert_eq!(shown, recorded);
            prop_assert!(below.iter().all(String::is_empty), "{:?}", below);
        }
    }
}

#[test]
fn a_few_bytes_that_scroll_many_full_lines_take_little_memory() {
    let size = TerminalSize { columns: 80, rows: 4096 };
    let view = TerminalSize { columns: 80, rows: 5 };
    let mut painter = Painter::new(size, Some(view));
    // A screen full of letters, and all of it scrolls out.
    painter.output(b"\x1b#8\x1b[4096S".repeat(40).as_slice());
    assert!(painter.backlog() <= 4_000_000, "{}", painter.backlog());
    let out = painted(&mut painter);
    let left_out = 40 * 4096 - 2_000_000 / 82;
    assert!(out.contains(&format!("[{left_out} more lines scrolled by at once and are not shown]")));
    assert_eq!(painter.backlog(), 0);
}
