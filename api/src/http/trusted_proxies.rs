//! Where a request comes from when there are proxies in front: how far `X-Forwarded-For` and `X-Forwarded-Proto` are
//! trusted.
//!
//! They are believed as far as the one who wrote them is trusted. Each proxy appends the address of the one that
//! connected to it, so the last entry was written by our peer, the one before by whoever the last entry names, and so on:
//! the walk goes from the right over trusted proxies, and the first address that is none of them is the caller. What
//! stands left of it the caller may have written, and it is not read. `Forwarded` (RFC 7239) is not read at all:
//! proxies that keep the other two pass it on as the caller wrote it.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::HeaderMap;
use policies::AddressBlock;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// The addresses of the trusted proxies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies(Vec<AddressBlock>);

/// A text that names no trusted proxies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTrustedProxies {
    /// An entry is no address block.
    #[error("it is a list of addresses or address blocks, such as 10.0.0.0/8,2001:db8::7")]
    NoBlock,
    /// An entry holds every address.
    #[error(
        "a block of every address (/0) would let each caller choose where it comes from; name the proxies' own"
    )]
    Everybody,
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    /// The caller's address, canonical; `None` when a trusted proxy does not say it in a way that can be read.
    pub(crate) address: Option<IpAddr>,
    /// Whether it came to us, or to the proxies, over TLS.
    pub(crate) secure_transport: bool,
}

impl TrustedProxies {
    /// Reads a list of addresses and address blocks, parted by commas. An empty text is an empty list.
    ///
    /// # Errors
    /// An entry is no block, or one of every address.
    pub fn parse(text: &str) -> Result<Self, InvalidTrustedProxies> {
        let entries = text.split(',').map(str::trim).filter(|_| !text.trim().is_empty());
        let block = |entry: &str| match AddressBlock::parse(entry) {
            None => Err(InvalidTrustedProxies::NoBlock),
            Some(AddressBlock::V4 { mask: 0, .. } | AddressBlock::V6 { mask: 0, .. }) => {
                Err(InvalidTrustedProxies::Everybody)
            }
            Some(block) => Ok(block),
        };
        entries.map(block).collect::<Result<_, _>>().map(Self)
    }

    /// Where a request comes from that `peer` sent, over TLS or not. Headers are read only from a trusted proxy.
    pub(crate) fn source(&self, peer: Option<IpAddr>, secure: bool, headers: &HeaderMap) -> Source {
        let peer = peer.map(|peer| peer.to_canonical());
        match peer {
            Some(proxy) if self.trusts(proxy) => Source {
                address: self.walk(proxy, values(headers, FORWARDED_FOR)),
                secure_transport: secure || all_https(values(headers, FORWARDED_PROTO)),
            },
            _ => Source { address: peer, secure_transport: secure },
        }
    }

    /// Whether a peer with this address is one of them.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|block| block.contains(address))
    }

    /// Walks from `peer` to the caller, over entries from the right.
    fn walk<'v>(&self, peer: IpAddr, values: impl DoubleEndedIterator<Item = &'v [u8]>) -> Option<IpAddr> {
        let mut address = peer;
        for entry in values.rev().flat_map(|value| value.rsplit(|byte| *byte == b',')) {
            // An unreadable entry of a trusted proxy hides the caller. The proxy itself does not count as the caller:
            // it may be in a network that policies allow.
            address = hop(entry)?;
            if !self.trusts(address) {
                break;
            }
        }
        Some(address)
    }
}

fn values<'h>(
    headers: &'h HeaderMap,
    name: &'static str,
) -> impl DoubleEndedIterator<Item = &'h [u8]> + use<'h> {
    let values: Vec<_> = headers.get_all(name).map(|value| value.as_bytes()).collect();
    values.into_iter()
}

/// An entry: an address, perhaps with a port.
fn hop(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    text.parse().ok().or_else(bracketed).or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

/// Whether there is a value and every one says https: a proxy that appends cannot be outvoted by its caller.
fn all_https<'v>(values: impl Iterator<Item = &'v [u8]>) -> bool {
    let mut said = false;
    for entry in values.flat_map(|value| value.split(|byte| *byte == b',')) {
        if !entry.trim_ascii().eq_ignore_ascii_case(b"https") {
            return false;
        }
        said = true;
    }
    said
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn headers(name: &'static str, values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn proxies() -> TrustedProxies {
        TrustedProxies::parse("10.0.0.0/8, 192.0.2.7,2001:db8::/32").unwrap()
    }

    fn forwarded(peer: &str, values: &[&str]) -> Option<IpAddr> {
        let values: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
        proxies().source(Some(ip(peer)), false, &headers(FORWARDED_FOR, &values)).address
    }

    #[test]
    fn the_caller_is_the_rightmost_address_that_is_not_a_trusted_proxy() {
        for (peer, values, caller) in [
            ("203.0.113.9", &["198.51.100.1"][..], Some("203.0.113.9")),
            ("10.0.0.1", &[], Some("10.0.0.1")),
            ("10.0.0.1", &["198.51.100.1"], Some("198.51.100.1")),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], Some("198.51.100.1")),
            ("10.0.0.1", &["192.168.0.1, 198.51.100.1"], Some("198.51.100.1")),
            ("10.0.0.1", &["192.168.0.1", "198.51.100.1 ,10.9.9.9", "2001:db8::3"], Some("198.51.100.1")),
            ("10.0.0.1", &["10.1.1.1, 10.2.2.2"], Some("10.1.1.1")),
            ("10.0.0.1", &["198.51.100.1:4711"], Some("198.51.100.1")),
            ("10.0.0.1", &["[2001:470::1]:4711"], Some("2001:470::1")),
            ("10.0.0.1", &["[2001:470::1]"], Some("2001:470::1")),
            ("2001:db8::1", &["2001:470::1"], Some("2001:470::1")),
            // A malformed entry left of the caller does not matter; right of it the caller is unknown.
            ("10.0.0.1", &["garbage, 198.51.100.1"], Some("198.51.100.1")),
            ("10.0.0.1", &["198.51.100.1, garbage"], None),
            ("10.0.0.1", &["198.51.100.1,"], None),
            ("10.0.0.1", &[""], None),
            ("10.0.0.1", &["unknown"], None),
            ("10.0.0.1", &["_hidden, 10.2.2.2"], None),
            ("10.0.0.1", &["fe80::1%eth0"], None),
        ] {
            assert_eq!(forwarded(peer, values), caller.map(ip), "{peer} {values:?}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_that_says_https_alone_counts_as_tls() {
        for (peer, values, secure) in [
            ("10.0.0.1", &["https"][..], true),
            ("10.0.0.1", &["HTTPS , https", "https"], true),
            ("10.0.0.1", &[], false),
            ("10.0.0.1", &[""], false),
            ("10.0.0.1", &["https, http"], false),
            ("10.0.0.1", &["http", "https"], false),
            ("10.0.0.1", &["https,"], false),
            ("203.0.113.9", &["https"], false),
        ] {
            let values: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
            let source = proxies().source(Some(ip(peer)), false, &headers(FORWARDED_PROTO, &values));
            assert_eq!(source.secure_transport, secure, "{peer} {values:?}");
        }
    }

    #[test]
    fn lists_are_read_whole_or_not_at_all() {
        assert_eq!(TrustedProxies::parse(" ").unwrap(), TrustedProxies::default());
        assert_eq!(proxies().0.len(), 3);
        for text in ["10.0.0.0/8,", ",", "10.0.0.0/33", "proxy.example.com", "10.0.0.1 10.0.0.2"] {
            assert_eq!(TrustedProxies::parse(text), Err(InvalidTrustedProxies::NoBlock), "{text}");
        }
        for text in ["0.0.0.0/0", "10.0.0.1,::/0"] {
            assert_eq!(TrustedProxies::parse(text), Err(InvalidTrustedProxies::Everybody), "{text}");
        }
    }

    /// What a header can hold.
    fn header_bytes() -> impl Strategy<Value = Vec<u8>> {
        let anything = proptest::collection::vec(
            any::<u8>().prop_filter("a header holds no control characters", |byte| {
                HeaderValue::from_bytes(&[*byte]).is_ok()
            }),
            0..40,
        );
        let likely = "([0-9a-fA-F:.\\[\\]]{0,20}|10\\.0\\.0\\.1|192\\.0\\.2\\.7|unknown|,| ){0,6}";
        prop_oneof![anything, likely.prop_map(String::into_bytes)]
    }

    fn any_headers() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(header_bytes(), 0..4)
    }

    fn any_address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(IpAddr::from),
            any::<[u8; 16]>().prop_map(IpAddr::from),
            any::<[u8; 3]>().prop_map(|[a, b, c]| IpAddr::from([10, a, b, c])),
        ]
    }

    fn all_headers(lists: &[Vec<u8>], protocols: &[Vec<u8>]) -> HeaderMap {
        let mut all = HeaderMap::new();
        for (name, values) in [(FORWARDED_FOR, lists), (FORWARDED_PROTO, protocols)] {
            for value in values {
                all.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
            }
        }
        all
    }

    proptest! {
        #[test]
        fn whatever_the_headers_hold_the_address_is_canonical_and_from_the_peer_or_the_headers(
            peer in any_address(), lists in any_headers(), protocols in any_headers(),
        ) {
            let source = proxies().source(Some(peer), false, &all_headers(&lists, &protocols));
            if let Some(address) = source.address {
                prop_assert_eq!(address, address.to_canonical());
                let named = lists.iter().flat_map(|list| list.split(|byte| *byte == b',')).filter_map(hop);
                prop_assert!(address == peer.to_canonical() || named.into_iter().any(|hop| hop == address));
            }
        }

        #[test]
        fn a_peer_that_is_not_trusted_is_the_caller_whatever_it_says(
            peer in any_address(), lists in any_headers(), protocols in any_headers(), secure in any::<bool>(),
        ) {
            prop_assume!(!proxies().trusts(peer.to_canonical()));
            let source = proxies().source(Some(peer), secure, &all_headers(&lists, &protocols));
            prop_assert_eq!(source, Source { address: Some(peer.to_canonical()), secure_transport: secure });
        }

        #[test]
        fn a_caller_behind_trusted_proxies_cannot_say_where_it_comes_from(
            caller in any_address(),
            said in any_headers(),
            hops in proptest::collection::vec(any::<[u8; 3]>(), 0..3),
            in_one_line in any::<bool>(),
        ) {
            prop_assume!(!proxies().trusts(caller.to_canonical()));
            // Each proxy appends who connected to it: to the line, or in a line of its own.
            let connected = hops.iter().map(|[a, b, c]| IpAddr::from([10, *a, *b, *c]));
            let mut lines = said;
            for address in std::iter::once(caller).chain(connected) {
                match lines.last_mut() {
                    Some(line) if in_one_line => line.extend(format!(", {address}").into_bytes()),
                    _ => lines.push(address.to_string().into_bytes()),
                }
            }
            let source = proxies().source(Some(ip("10.0.0.1")), false, &all_headers(&lines, &[]));
            prop_assert_eq!(source.address, Some(caller.to_canonical()));
        }
    }
}
