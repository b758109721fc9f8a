//! A strict JSON reader that records the position of every value.
//!
//! A general-purpose reader keeps the last of two equal keys, which can turn a visible Deny into an Allow, and
//! discards positions. This one refuses duplicate keys, lone surrogates, NUL and trailing text, and keeps the byte
//! offset of every value.

use std::collections::HashSet;

use crate::invalid::{Fault, Path, Reason};
use crate::work;

/// The grammar needs six levels; anything nested deeper than this limit is refused before it is read.
pub(crate) const MAX_DEPTH: usize = 12;

/// A value and the byte offset where it begins.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    /// The number as it is spelled.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Object(Vec<Member>),
}

/// A named element of an object; `at` is the byte offset of the name.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) at: usize,
    pub(crate) value: Node,
}

impl Node {
    /// The name of the JSON type in error messages.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Boolean(_) => "a bare true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Object(_) => "an object",
        }
    }
}

/// Reads exactly one JSON value, nested at most `max_depth` levels.
///
/// A duplicate name does not end the reading: it is added to `duplicates`, and the first of the two members is kept.
/// A caller that finds an entry there has to refuse the text.
pub(crate) fn read(text: &str, max_depth: usize, duplicates: &mut Vec<Fault>) -> Result<Node, Fault> {
    let mut reader =
        Reader { text, bytes: text.as_bytes(), at: 0, path: Path::default(), max_depth, duplicates };
    if text.starts_with('\u{feff}') {
        return Err(reader.fault(
            Reason::ByteOrderMark,
            0,
            "the document starts with a byte order mark; save it as UTF-8 without BOM",
        ));
    }
    reader.skip_blanks();
    if reader.peek().is_none() {
        return Err(reader.fault(
            Reason::EmptyText,
            reader.at,
            "the document is empty; a policy is an object with Version and Statement",
        ));
    }
    let node = reader.value(1)?;
    reader.skip_blanks();
    match reader.peek() {
        None => Ok(node),
        Some(0) => Err(reader.nul(reader.at)),
        Some(_) => Err(reader.fault(
            Reason::TrailingText,
            reader.at,
            "the document has ended, but more text follows; remove it",
        )),
    }
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    path: Path,
    max_depth: usize,
    duplicates: &'a mut Vec<Fault>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        work::add(1);
        self.bytes.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn fault(&self, reason: Reason, at: usize, message: impl Into<String>) -> Fault {
        Fault::new(reason, at, self.path.pointer(), message)
    }

    fn nul(&self, at: usize) -> Fault {
        self.fault(Reason::NulCharacter, at, "the document holds a NUL character; remove it")
    }

    /// The fault about the text at the current offset.
    fn unexpected(&self, wanted: &str) -> Fault {
        let found = match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            None => {
                return self.fault(Reason::NotJson, self.at, format!("the text ends where {wanted} belongs"));
            }
            Some('\0') => return self.nul(self.at),
            Some(found) => found,
        };
        let hint = match found {
            '\'' => "; JSON strings stand in double quotes",
            '“' | '”' => "; use plain double quotes instead of typographic ones",
            '/' | '#' => "; JSON has no comments",
            ']' | '}' => "; remove the comma before it or add what is missing",
            _ => "",
        };
        let message = format!("{} stands where {wanted} belongs{hint}", printable(found));
        self.fault(Reason::NotJson, self.at, message)
    }

    fn value(&mut self, depth: usize) -> Result<Node, Fault> {
        let at = self.at;
        let value = match self.peek() {
            Some(b'{' | b'[') if depth > self.max_depth => {
                let message =
                    format!("nested deeper than {} levels; a policy needs at most 6", self.max_depth);
                return Err(self.fault(Reason::TooDeep, at, message));
            }
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Value::Boolean(true))?,
            Some(b'f') => self.word("false", Value::Boolean(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Node { at, value })
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Fault> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.unexpected("a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, Fault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Value::Number(self.text[start..self.at].to_owned()))
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected("a digit")) } else { Ok(()) }
    }

    fn list(&mut self, depth: usize) -> Result<Value, Fault> {
        self.at += 1;
        let mut entries = Vec::new();
        self.skip_blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::List(entries));
        }
        loop {
            self.skip_blanks();
            self.path.push(entries.len().to_string());
            entries.push(self.value(depth + 1)?);
            self.path.pop();
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::List(entries));
                }
                _ => return Err(self.unexpected("a comma or ]")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Fault> {
        self.at += 1;
        let mut members: Vec<Member> = Vec::new();
        let mut names = Names::default();
        self.skip_blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_blanks();
            let at = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a name in double quotes"));
            }
            let name = self.string()?;
            self.path.push(name.clone());
            let duplicate = names.hold(&members, &name);
            if duplicate {
                let message = format!("{name:?} stands twice in one object; keep one of them");
                self.duplicates.push(self.fault(Reason::DuplicateElement, at, message));
            }
            self.skip_blanks();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("a colon"));
            }
            self.at += 1;
            self.skip_blanks();
            let value = self.value(depth + 1)?;
            if !duplicate {
                members.push(Member { name, at, value });
            }
            self.path.pop();
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(members));
                }
                _ => return Err(self.unexpected("a comma or }")),
            }
        }
    }

    fn string(&mut self) -> Result<String, Fault> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte != b'"' && byte != b'\\' && byte >= 0x20) {
                self.at += 1;
            }
            text.push_str(&self.text[start..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(0) => return Err(self.nul(self.at)),
                Some(_) => {
                    let message = "a string holds a line break or another control character; write it as an escape, such as \\n";
                    return Err(self.fault(Reason::NotJson, self.at, message));
                }
                None => return Err(self.unexpected("a closing double quote")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let at = self.at;
        self.at += 1;
        let plain = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape(at);
            }
            _ => return Err(self.unexpected("one of the escapes \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u")),
        };
        self.at += 1;
        Ok(plain)
    }

    fn unicode_escape(&mut self, at: usize) -> Result<char, Fault> {
        let lone = |reader: &Self| {
            reader.fault(
                Reason::LoneSurrogate,
                at,
                "this \\u escape is half of a surrogate pair; write the character itself",
            )
        };
        let first = self.four_hex_digits()?;
        let code = match first {
            0 => return Err(self.nul(at)),
            0xd800..=0xdbff => {
                if !self.bytes[self.at..].starts_with(b"\\u") {
                    return Err(lone(self));
                }
                self.at += 2;
                let second = self.four_hex_digits()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(lone(self));
                }
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| lone(self))
    }

    fn four_hex_digits(&mut self) -> Result<u32, Fault> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                return Err(self.unexpected("a hexadecimal digit"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

/// With fewer names than this, a linear search is faster than hashing. With thousands of names, a linear search would
/// make a file of cases take quadratic time.
const FEW_NAMES: usize = 16;

/// The names of an object with many members.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    /// Whether the name is among the members already. This has to be called for each member, in their order.
    fn hold(&mut self, members: &[Member], name: &str) -> bool {
        if members.len() < FEW_NAMES {
            work::add(members.len());
            return members.iter().any(|member| member.name == name);
        }
        if self.0.is_empty() {
            self.0.extend(members.iter().map(|member| member.name.clone()));
        }
        work::add(1);
        !self.0.insert(name.to_owned())
    }
}

/// A character as an error message shows it: control and other invisible characters as their code.
fn printable(character: char) -> String {
    if character.is_control()
        || character.is_whitespace()
        || !character.is_ascii() && !character.is_alphanumeric()
    {
        format!("the character U+{:04X}", character as u32)
    } else {
        format!("'{character}'")
    }
}

/// The shortest JSON text of a value.
pub(crate) fn write(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Number(spelled) => spelled.clone(),
        Value::Text(text) => quote(text),
        Value::List(entries) => format!("[{}]", entries.iter().map(write).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let written =
                members.iter().map(|member| format!("{}:{}", quote(&member.name), write(&member.value)));
            format!("{{{}}}", written.collect::<Vec<_>>().join(","))
        }
    }
}

/// A string in quotes. Only the characters that have to be escaped are escaped.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
