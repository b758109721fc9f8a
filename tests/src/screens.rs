//! What a recorded terminal showed at each moment, computed with a terminal model.

use serde_json::Value;

/// The contents of the terminal from one moment on.
#[derive(Debug, Clone, PartialEq)]
pub struct Screen {
    /// The moment, in milliseconds since the start.
    pub from: f64,
    /// Columns and rows.
    pub size: (usize, usize),
    /// The lines without trailing blanks.
    pub lines: Vec<String>,
    /// Whether the terminal was resized and nothing has been printed since. What it then shows differs between
    /// terminals: some rewrap the lines, some cut them.
    pub just_resized: bool,
}

/// The screens that an exported asciicast goes through: one before its first event and one after each.
#[must_use]
pub fn screens(cast: &str) -> Vec<Screen> {
    let mut lines = cast.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    let header = lines.next().expect("a header");
    let side = |value: &Value| usize::try_from(value.as_u64().expect("a number")).expect("a small one");
    let (columns, rows) = (side(&header["width"]), side(&header["height"]));
    let mut terminal = avt::Terminal::new(columns, rows).expect("a size above zero");
    let mut screens = vec![screen(&terminal, 0.0, false)];
    for event in lines {
        let content = event[2].as_str();
        match event[1].as_str() {
            Some("o") => terminal.feed(content.expect("output is text")),
            Some("r") => {
                let (columns, rows) = content.and_then(|size| size.split_once('x')).expect("80x24");
                terminal.resize(columns.parse().expect("columns"), rows.parse().expect("rows"));
            }
            _ => continue,
        }
        let from = event[0].as_f64().expect("seconds") * 1000.0;
        screens.push(screen(&terminal, from, event[1] == "r"));
    }
    screens
}

fn screen(terminal: &avt::Terminal, from: f64, just_resized: bool) -> Screen {
    let lines = terminal.screen().visible_lines().map(|line| line.text().trim_end().to_owned()).collect();
    Screen { from, size: terminal.size(), lines, just_resized }
}
