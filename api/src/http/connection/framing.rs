//! Where in the bytes of a connection a head ends, and where a body does. The framework reads the same bytes and decides
//! what they mean; here it is only found out how far it may read, so that the next request is not handed to it before
//! this one is answered. What the framework refuses need not be understood here: nothing follows it.

/// How much is kept of a line: more than the names and the values by which a body's end is known.
const LONGEST_LINE: usize = 64;

/// How the lines begin by which a body's end is known. Of any other no more than its first byte is kept.
const FIRST_LETTERS: &[u8] = b"CcTtUu";

/// Looks for the end of a head: the first empty line behind another one. As the framework does, it passes over empty
/// lines before the first, and takes a line feed alone for the end of a line.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Whether there was a line that is not empty.
    begun: bool,
    /// Whether there is something in the line so far.
    in_line: bool,
    /// The beginning of the line so far, with one blank for several.
    line: Vec<u8>,
    connects: bool,
    in_chunks: bool,
    is_web_socket: bool,
    length: Option<u64>,
    /// Whether a line says how the body ends, and not in a way that anybody would write.
    is_odd: bool,
}

impl Head {
    /// The next one on its connection.
    pub(super) fn next(self) -> Self {
        let mut line = self.line;
        line.clear();
        Self { line, ..Self::default() }
    }

    /// How many of these bytes, which follow those before, are the head's, when it ends among them.
    pub(super) fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut begins = 0;
        while let Some(length) = bytes[begins..].iter().position(|byte| *byte == b'\n') {
            self.line_goes_on(&bytes[begins..begins + length]);
            begins += length + 1;
            if self.begun && !self.in_line {
                return Some(begins);
            }
            self.end_line();
        }
        self.line_goes_on(&bytes[begins..]);
        None
    }

    /// A piece of a line, without its end.
    fn line_goes_on(&mut self, piece: &[u8]) {
        self.line.reserve_exact((LONGEST_LINE + 1).saturating_sub(self.line.len()));
        // A carriage return has a line feed behind it; the framework refuses it anywhere else.
        for byte in piece.iter().filter(|byte| **byte != b'\r') {
            (self.begun, self.in_line) = (true, true);
            let is_of_no_use = self.line.first().is_some_and(|first| !FIRST_LETTERS.contains(first));
            if is_of_no_use || self.line.len() > LONGEST_LINE {
                return;
            }
            let blank = matches!(byte, b' ' | b'\t');
            if !(blank && self.line.last() == Some(&b' ')) {
                self.line.push(if blank { b' ' } else { *byte });
            }
        }
    }

    fn end_line(&mut self) {
        self.in_line = false;
        let line = std::mem::take(&mut self.line);
        self.read_line(&line);
        // One buffer serves all lines.
        self.line = line;
        self.line.clear();
    }

    fn read_line(&mut self, line: &[u8]) {
        if line.starts_with(b"CONNECT ") {
            self.connects = true;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        if is("content-length") {
            self.length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
        } else if is("transfer-encoding") {
            self.in_chunks |= value.eq_ignore_ascii_case(b"chunked");
        } else if is("upgrade") {
            self.is_web_socket |= value.eq_ignore_ascii_case(b"websocket");
        } else {
            return;
        }
        self.is_odd |= line.len() > LONGEST_LINE;
    }

    /// How the body ends of a head that did, in the framework's order.
    pub(super) fn body(&self) -> Body {
        match self.length {
            _ if self.is_odd => Body::Unknown,
            _ if self.in_chunks => Body::Chunks(Chunks::FirstDigit),
            _ if self.is_web_socket => Body::Connection,
            // The framework takes this length for none.
            Some(0) | None if self.connects => Body::Connection,
            length => Body::Length(length.unwrap_or_default()),
        }
    }
}

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes; none, when it is over.
    Length(u64),
    /// What its chunks say.
    Chunks(Chunks),
    /// All that comes on the connection: it is no HTTP any more.
    Connection,
    /// Its chunks are malformed, or its length is odd: where the next head would begin, nobody knows.
    Unknown,
}

impl Body {
    pub(super) fn is_over(self) -> bool {
        self == Self::Length(0)
    }

    /// How many bytes may be read for it, of so many that are wanted.
    pub(super) fn at_most(self, wanted: usize) -> usize {
        match self {
            Self::Length(length) => usize::try_from(length).map_or(wanted, |length| wanted.min(length)),
            Self::Chunks(_) | Self::Connection | Self::Unknown => wanted,
        }
    }

    /// How many of these bytes are the body's. Those that are malformed are not.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Length(_) => {
                let taken = self.at_most(bytes.len());
                if let Self::Length(length) = self {
                    *length = length.saturating_sub(taken as u64);
                }
                taken
            }
            Self::Chunks(chunks) => {
                let mut taken = 0;
                while taken < bytes.len() {
                    match chunks.next(&bytes[taken..]) {
                        Next::More(count) => taken += count,
                        Next::Over => {
                            *self = Self::Length(0);
                            return taken + 1;
                        }
                        Next::Malformed => {
                            *self = Self::Unknown;
                            return taken;
                        }
                    }
                }
                taken
            }
            Self::Connection => bytes.len(),
            Self::Unknown => 0,
        }
    }
}

/// What the next byte of a body in chunks is (RFC 9112, section 7.1). No more is let through than the framework reads:
/// it would answer a chunk that it cannot read behind the reply that tells of it, and write an error to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunks {
    /// The first digit of a size.
    FirstDigit,
    /// What follows the digits of this size.
    Size(u64),
    /// What follows the blanks behind this size.
    AfterSize(u64),
    /// In an extension, of a chunk of this size.
    Extension(u64),
    /// The end of the line with this size.
    SizeEnds(u64),
    /// So many bytes of data.
    Data(u64),
    /// The end of the data.
    DataEnds,
    /// The end of the line with the end of the data.
    DataLineEnds,
    /// The beginning of a trailer, or of the last line.
    Line,
    /// In a trailer.
    Trailer,
    /// The end of a trailer's line.
    TrailerEnds,
    /// The end of all.
    Ends,
}

enum Next {
    /// So many bytes are the body's.
    More(usize),
    /// The next byte is, and it is the last.
    Over,
    Malformed,
}

impl Chunks {
    /// Goes on by what comes first in `bytes`, which are not empty.
    fn next(&mut self, bytes: &[u8]) -> Next {
        if let Self::Data(left) = *self {
            let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
            let left = left - taken as u64;
            *self = if left == 0 { Self::DataEnds } else { Self::Data(left) };
            return Next::More(taken);
        }
        if (*self, bytes[0]) == (Self::Ends, b'\n') {
            return Next::Over;
        }
        let Some(next) = self.step(bytes[0]) else { return Next::Malformed };
        *self = next;
        Next::More(1)
    }

    fn step(self, byte: u8) -> Option<Self> {
        let digit = |byte: u8| char::from(byte).to_digit(16).map(u64::from);
        Some(match (self, byte) {
            (Self::FirstDigit, _) => Self::Size(digit(byte)?),
            (Self::Size(size) | Self::AfterSize(size), b' ' | b'\t') => Self::AfterSize(size),
            (Self::Size(size) | Self::AfterSize(size), b';') => Self::Extension(size),
            (Self::Size(size) | Self::AfterSize(size) | Self::Extension(size), b'\r') => Self::SizeEnds(size),
            (Self::Size(size), _) => Self::Size(size.checked_mul(16)? + digit(byte)?),
            (Self::Extension(size), _) if byte == b'\t' || !byte.is_ascii_control() => Self::Extension(size),
            (Self::SizeEnds(0), b'\n') => Self::Line,
            (Self::SizeEnds(size), b'\n') => Self::Data(size),
            (Self::DataEnds, b'\r') => Self::DataLineEnds,
            (Self::DataLineEnds, b'\n') => Self::FirstDigit,
            (Self::Line, b'\r') => Self::Ends,
            (Self::Trailer, b'\r') => Self::TrailerEnds,
            (Self::Line | Self::Trailer, _) => Self::Trailer,
            (Self::TrailerEnds, b'\n') => Self::Line,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use actix_codec::Decoder as _;
    use actix_http::HttpMessage as _;
    use actix_http::h1::{Codec, Message, MessageType};
    use bytes::BytesMut;

    use super::*;

    #[test]
    fn a_head_ends_with_its_first_empty_line_however_it_is_cut() {
        for (bytes, end) in [
            ("GET / HTTP/1.1\r\nhost: x\r\n\r\nGET", Some(27)),
            ("\r\n\nGET / HTTP/1.1\nhost: x\n\nabc", Some(27)),
            ("GET / HTTP/1.1\nhost: x\n\r\n\r\n", Some(25)),
            ("\r\n\r\n\r\n", None),
            ("GET / HTTP/1.1\r\nhost: x\r\n", None),
            ("\u{16}\u{3}\u{1}\0\0\r\n\r\n", Some(9)),
        ] {
            assert_eq!(Head::default().find_end(bytes.as_bytes()), end, "{bytes:?}");
            let mut head = Head::default();
            let found = bytes.bytes().position(|byte| head.find_end(&[byte]).is_some());
            assert_eq!(found.map(|index| index + 1), end, "{bytes:?}");
        }
    }

    #[test]
    fn a_body_ends_where_its_length_or_its_last_chunk_says_however_it_is_cut() {
        for (framing, body) in [
            (Body::Length(5), "abcde"),
            (Body::Chunks(Chunks::FirstDigit), "0\r\n\r\n"),
            (
                Body::Chunks(Chunks::FirstDigit),
                "5\r\nab\r\nc\r\nF \t;x=\"y\"\r\n0\r\n\r\n1234567890\r\n00;\r\na: b\r\nc\r\n\r\n",
            ),
        ] {
            let all = format!("{body}GET / HTTP/1.1\r\n");
            let mut whole = framing;
            assert_eq!((whole.take(all.as_bytes()), whole.is_over()), (body.len(), true), "{body:?}");
            let mut cut = framing;
            let taken = all.bytes().take_while(|byte| cut.take(&[*byte]) == 1).count();
            assert_eq!((taken, cut.is_over()), (body.len(), true), "{body:?}");
        }
        let mut more = Body::Length(7);
        assert_eq!((more.take(b"abc"), more, more.at_most(100)), (3, Body::Length(4), 4));
        let mut rest = Body::Connection;
        assert_eq!((rest.take(b"abc"), rest.is_over(), Body::Length(0).is_over()), (3, false, true));
    }

    #[test]
    fn malformed_chunks_end_where_they_are() {
        for (bytes, taken) in [
            ("x", 0),
            ("\r\n", 0),
            ("5\n", 1),
            ("5x", 1),
            ("5 5", 2),
            ("5;\u{1}", 2),
            ("5\r5", 2),
            ("1\r\nab", 4),
            ("1\r\na\rb", 5),
            ("0\r\n\r0", 4),
            ("0\r\na\rb", 5),
            ("fffffffffffffffff", 16),
        ] {
            let mut body = Body::Chunks(Chunks::FirstDigit);
            assert_eq!((body.take(bytes.as_bytes()), body), (taken, Body::Unknown), "{bytes:?}");
            assert_eq!(body.take(b"0\r\n\r\n"), 0);
        }
    }

    /// What the framework reads of a head: its kind of body, and the length if there is one.
    fn framework(head: &str) -> Option<(MessageType, Option<u64>)> {
        let mut codec = Codec::default();
        let mut bytes = BytesMut::from(head.as_bytes());
        let Some(Message::Item(request)) = codec.decode(&mut bytes).ok()? else {
            panic!("{head:?} is no head")
        };
        assert!(bytes.is_empty(), "{head:?}");
        let length =
            request.headers().get("content-length").map(|length| length.to_str().unwrap().trim().parse());
        Some((codec.message_type(), length.map(Result::unwrap)))
    }

    #[actix_web::test]
    async fn a_body_ends_where_the_framework_takes_its_end_to_be() {
        let lines = [
            "",
            "Content-Length: 5\r\n",
            "content-length:5\r\n",
            "CONTENT-LENGTH: \t 5 \t\r\n",
            "Content-Length: 0\n",
            "Content-Length: +5\r\n",
            "Content-Length: 1 2\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: \r\n",
            "Content-Length : 5\r\n",
            " Content-Length: 5\r\n",
            "x: y\r\n Content-Length: 5\r\n",
            "X-Content-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\n",
            "transfer-encoding:\tCHUNKED \r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunk ed\r\n",
            "Upgrade: WebSocket\r\n",
            "Upgrade: web socket\r\n",
            "Upgrade: h2c, websocket\r\n",
            "Connection: Upgrade\r\n",
        ];
        let long =
            ["0".repeat(70) + "5", " ".repeat(70) + "5"].map(|text| format!("Content-Length: {text}\r\n"));
        let lines: Vec<_> = lines.into_iter().map(str::to_owned).chain(long).collect();
        let mut understood = 0;
        for method in ["GET", "POST", "CONNECT", "connect"] {
            for version in ["1.0", "1.1"] {
                for (first, second) in
                    lines.iter().flat_map(|first| lines.iter().map(move |second| (first, second)))
                {
                    let head = format!("{method} /a HTTP/{version}\r\nhost: x\r\n{first}{second}\r\n");
                    let Some((kind, length)) = framework(&head) else { continue };
                    let mut ours = Head::default();
                    assert_eq!(ours.find_end(head.as_bytes()), Some(head.len()), "{head:?}");
                    let same = match ours.body() {
                        Body::Length(0) => kind == MessageType::None,
                        Body::Length(ours) => kind == MessageType::Payload && length == Some(ours),
                        Body::Chunks(_) => {
                            kind == MessageType::Payload && head.to_lowercase().contains("chunked")
                        }
                        Body::Connection => kind == MessageType::Stream,
                        Body::Unknown => head.contains(&"0".repeat(70)),
                    };
                    assert!(same, "{head:?}: {:?}, and the framework {kind:?} {length:?}", ours.body());
                    understood += 1;
                }
            }
        }
        assert!(understood > 500, "{understood}");
    }
}
