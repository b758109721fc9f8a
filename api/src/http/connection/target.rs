//! The target of a request, as it passes by. Its query is taken out of the head before the web framework reads that: the
//! framework's type for targets ends at 65,534 bytes, and SDKs send queries of 100,000. And what the framework never
//! sees, nothing that it writes to a log can show: queries hold passwords.

/// The longest target, with its query.
const LONGEST_TARGET: usize = 120_000;

/// The longest target without its query, which the framework reads.
const LONGEST_PATH: usize = u16::MAX as usize - 1;

/// A head that the framework is not to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is longer than it may be.
    TooLong,
    /// It has a byte in its target that no target has.
    Malformed,
}

/// Where in the request line the next byte is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the empty lines that may stand before it.
    #[default]
    Start,
    Method,
    /// In the target, before the end of its path.
    Path {
        /// Whether there was a `/`: without one it names a host, or nothing, and has no query.
        begun: bool,
    },
    Query,
    /// Behind a `#`. The framework passes over it, and nobody signs it.
    Fragment,
    /// Behind the target.
    Behind,
}

/// Takes the query out of a request line. No Debug: a query holds secrets.
#[derive(Default)]
pub(super) struct RequestLine {
    at: At,
    /// How long the target is so far.
    length: usize,
    query: Option<String>,
}

impl RequestLine {
    /// Goes on by the next bytes of a head. Those that the framework is to read are moved to the front; says how many.
    ///
    /// # Errors
    /// The target is too long, or its query malformed.
    pub(super) fn cut(&mut self, bytes: &mut [u8]) -> Result<usize, Unfit> {
        self.make_room(bytes.len());
        let mut kept = 0;
        for index in 0..bytes.len() {
            if self.at == At::Behind {
                bytes.copy_within(index.., kept);
                return Ok(kept + bytes.len() - index);
            }
            let byte = bytes[index];
            if self.is_for_the_framework(byte)? {
                bytes[kept] = byte;
                kept += 1;
            } else if self.query.as_ref().is_some_and(String::is_empty) {
                self.make_room(bytes.len() - index);
            }
        }
        Ok(kept)
    }

    /// Exactly: growing by doubling would hold twice what is counted.
    fn make_room(&mut self, most: usize) {
        if let (At::Query, Some(query)) = (self.at, &mut self.query) {
            query.reserve_exact(most);
        }
    }

    fn is_for_the_framework(&mut self, byte: u8) -> Result<bool, Unfit> {
        match (self.at, byte) {
            (At::Start, b'\r' | b'\n') => return Ok(true),
            (At::Start, _) => self.at = At::Method,
            (At::Method, b' ') => self.at = At::Path { begun: false },
            // The framework refuses a line that ends here, and reads what follows a whole one.
            (At::Path { .. } | At::Query | At::Fragment, b' ' | b'\r' | b'\n')
            | (At::Method, b'\r' | b'\n') => {
                self.at = At::Behind;
            }
            (At::Path { .. } | At::Query | At::Fragment, _) => return self.goes_on(byte),
            (At::Method | At::Behind, _) => {}
        }
        Ok(true)
    }

    /// Another byte of the target.
    fn goes_on(&mut self, byte: u8) -> Result<bool, Unfit> {
        self.length += 1;
        if self.length > LONGEST_TARGET {
            return Err(Unfit::TooLong);
        }
        match (self.at, byte) {
            (At::Path { begun: true }, b'?') => (self.at, self.query) = (At::Query, Some(String::new())),
            (At::Path { begun: true } | At::Query, b'#') => self.at = At::Fragment,
            // What the framework takes for a byte of a query.
            (At::Query, 0x21 | 0x24..=0x3b | 0x3d | 0x3f..=0x7e) => {
                self.query.get_or_insert_default().push(char::from(byte));
            }
            (At::Fragment, 0x21..=0x7e | 0x80..) => {}
            (At::Query | At::Fragment, _) => return Err(Unfit::Malformed),
            _ if self.length > LONGEST_PATH => return Err(Unfit::TooLong),
            (_, b'/') => {
                self.at = At::Path { begun: true };
                return Ok(true);
            }
            _ => return Ok(true),
        }
        Ok(false)
    }

    /// The query of a head that ended; `None` where its target has no `?`.
    pub(super) fn take_query(&mut self) -> Option<String> {
        self.query.take()
    }
}

#[cfg(test)]
mod tests {
    use actix_codec::Decoder as _;
    use actix_http::h1::{Codec, Message};
    use actix_web::http::Uri;
    use bytes::BytesMut;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::*;

    /// What the framework is given of a head that comes in pieces of this length, and its query.
    fn cut(head: &[u8], length: usize) -> Result<(Vec<u8>, Option<String>), Unfit> {
        let (mut line, mut given) = (RequestLine::default(), Vec::new());
        for piece in head.chunks(length) {
            let mut piece = piece.to_vec();
            let kept = line.cut(&mut piece)?;
            given.extend_from_slice(&piece[..kept]);
        }
        Ok((given, line.take_query()))
    }

    #[test]
    fn a_query_is_taken_out_however_the_head_is_cut() {
        for (head, given, query) in [
            ("GET /?a=b HTTP/1.1\r\nx: ?y\r\n\r\n", "GET / HTTP/1.1\r\nx: ?y\r\n\r\n", Some("a=b")),
            ("\r\n\nPOST /a?b=/?c HTTP/1.1\r\n", "\r\n\nPOST /a HTTP/1.1\r\n", Some("b=/?c")),
            ("GET /? HTTP/1.1\r\n", "GET / HTTP/1.1\r\n", Some("")),
            ("GET / HTTP/1.1\r\n?a", "GET / HTTP/1.1\r\n?a", None),
            ("GET /a#b?c HTTP/1.1\r\n", "GET /a HTTP/1.1\r\n", None),
            ("GET /?a#b?\"<\u{ff} HTTP/1.1\r\n", "GET / HTTP/1.1\r\n", Some("a")),
            ("GET http://host/a?b HTTP/1.1\r\n", "GET http://host/a HTTP/1.1\r\n", Some("b")),
            ("GET http://host?b HTTP/1.1\r\n", "GET http://host HTTP/1.1\r\n", Some("b")),
            ("CONNECT host:1?b HTTP/1.1\r\n", "CONNECT host:1?b HTTP/1.1\r\n", None),
            ("OPTIONS *?b HTTP/1.1\r\n", "OPTIONS *?b HTTP/1.1\r\n", None),
            ("GET /?a\r\nb ?c\r\n", "GET /\r\nb ?c\r\n", Some("a")),
            ("GET\r\n /?a b\r\n", "GET\r\n /?a b\r\n", None),
        ] {
            for length in [1, 2, 3, 1_000] {
                let expected = (given.as_bytes().to_vec(), query.map(str::to_owned));
                assert_eq!(cut(head.as_bytes(), length), Ok(expected), "{head:?} by {length}");
            }
        }
    }

    #[test]
    fn a_target_has_an_end_and_a_query_has_its_bytes() {
        let target = |target: &str| cut(format!("GET {target} HTTP/1.1\r\n").as_bytes(), 1_000);
        let query = "a".repeat(LONGEST_TARGET - 2);
        assert_eq!(target(&format!("/?{query}")).unwrap().1, Some(query.clone()));
        assert_eq!(target(&format!("/?{query}a")), Err(Unfit::TooLong));
        assert_eq!(target(&format!("/?#{query}")), Err(Unfit::TooLong));
        assert!(target(&"/".repeat(LONGEST_PATH)).is_ok());
        assert_eq!(target(&"/".repeat(LONGEST_PATH + 1)), Err(Unfit::TooLong));
        for byte in [0, 1, b'\t', b'"', b'<', b'>', 0x7f, 0x80, 0xff] {
            assert_eq!(cut(&[b"GET /?a", &[byte][..]].concat(), 100), Err(Unfit::Malformed), "{byte}");
        }
        for byte in [0, b'\t', 0x7f] {
            assert_eq!(cut(&[b"GET /?a#", &[byte][..]].concat(), 100), Err(Unfit::Malformed), "{byte}");
        }
    }

    /// The method and the target that the framework reads, and whether it refuses them.
    fn framework(head: &[u8]) -> Result<Option<(String, Uri)>, ()> {
        let mut bytes = BytesMut::from(head);
        match Codec::default().decode(&mut bytes) {
            Ok(Some(Message::Item(request))) => {
                Ok(Some((request.method().to_string(), request.uri().clone())))
            }
            Ok(_) => Ok(None),
            Err(_) => Err(()),
        }
    }

    /// The framework, given a head without its query, finds what it would have found in the whole head.
    #[actix_web::test]
    async fn method_path_and_query_are_those_that_the_framework_would_have_read() {
        let method = "GET|POST|CONNECT|G T|\r\nGET|\n| \\?";
        let target = prop_oneof!["[ -~]{0,30}", "(http://h|/|//)?[a?#/\"<{|\u{1}\u{80}\u{e9} ]{0,8}"];
        let end = " HTTP/1\\.1\r\n| HTTP/1\\.0\r\n|\r\n| \r\n|\n| HTTP/1\\.1 x\r\n";
        let heads = (method, target, end, 1_usize..20);
        let mut runner =
            TestRunner::new(Config { cases: 5_000, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&heads, |(method, target, end, length)| {
            let head = format!("{method} {target}{end}host: x\r\n\r\n");
            let whole = framework(head.as_bytes());
            let (given, query) = match cut(head.as_bytes(), length) {
                Ok(parts) => parts,
                Err(unfit) => {
                    prop_assert_eq!((unfit, whole), (Unfit::Malformed, Err(())), "{:?}", head);
                    return Ok(());
                }
            };
            match (whole, framework(&given)) {
                (Ok(Some((method, uri))), Ok(Some((ours, without)))) => {
                    prop_assert_eq!(method, ours, "{:?}", head);
                    prop_assert_eq!(uri.path(), without.path(), "{:?}", head);
                    prop_assert_eq!(uri.authority(), without.authority(), "{:?}", head);
                    prop_assert_eq!(uri.query(), query.as_deref().or(without.query()), "{:?}", head);
                }
                (whole, without) => prop_assert_eq!(whole, without, "{:?}", head),
            }
            Ok(())
        });
        outcome.unwrap();
    }
}
