//! How much of the server unknown callers can occupy: with heads and bodies that never end, and with any number of
//! connections. Known callers, and monitoring, are answered meanwhile.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use api::{ConnectionLimits, TrustedProxies};

use crate::http::{Reply, Request};
use crate::service::Service;
use crate::signing::{Call, Key};

/// An answer that has not arrived after this time is not expected any more.
const TIMEOUT: Duration = Duration::from_secs(8);

/// One address's share of the memory for unauthenticated callers.
const SHARE: usize = 8 * 1024 * 1024;

/// Just below the maximum size of a body.
const ALMOST: usize = 1024 * 1024 - 1;

/// A connection from this address of the loopback network.
pub(crate) fn connect(service: &Service, from: &str) -> TcpStream {
    let (local, remote): (SocketAddr, SocketAddr) = (format!("{from}:0").parse().unwrap(), service.address);
    let stream = service.wait(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(local).unwrap();
        socket.connect(remote).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.set_write_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// Everything until the other side closes, as a reply.
fn reply(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    // If a caller is refused while it writes, the connection may be reset after the reply.
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert!(!bytes.is_empty(), "no answer came: {error}");
    }
    Reply::parse(&bytes).unwrap_or_else(|| panic!("no reply: {:?}", String::from_utf8_lossy(&bytes)))
}

fn ask(service: &Service, from: &str, request: &Request) -> Reply {
    let mut stream = connect(service, from);
    stream.write_all(&request.bytes(service.address)).unwrap();
    reply(&mut stream)
}

fn healthy(service: &Service, from: &str) {
    let reply = ask(service, from, &Request::new("GET", "/healthz"));
    assert_eq!(reply.status, 200, "{reply:?}");
}

fn get(service: &Service) -> Call {
    Call::new("GetInstanceRecordConfig", &[("InstanceId", "i-one")], service.now())
}

/// The head of the request, and its body.
fn parted(request: &Request, address: SocketAddr) -> (Vec<u8>, Vec<u8>) {
    let bytes = request.bytes(address);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    (bytes[..end].to_vec(), bytes[end..].to_vec())
}

/// A call whose parameters are all in its form, as pop-core posts it.
fn all_in_form(service: &Service, key: &Key) -> Request {
    let mut request = get(service).signed_v1(key);
    let query = request.target.split_once('?').unwrap().1.to_owned();
    request.target = "/".to_owned();
    request.body = [query.as_bytes(), b"&", &request.body].concat();
    request
}

/// The head of an unauthenticated form of this length.
fn form_head(length: usize) -> Vec<u8> {
    format!(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {length}\r\n\r\n"
    )
    .into_bytes()
}

/// Whether the other side closed the connection; anything it sent before is ignored.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut bytes = [0; 4_096];
    let closed = loop {
        match stream.read(&mut bytes) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) => break error.kind() != ErrorKind::WouldBlock,
        }
    };
    stream.set_nonblocking(false).unwrap();
    closed
}

/// The number of those that are open.
fn open(streams: &mut [TcpStream]) -> usize {
    streams.iter_mut().filter_map(|stream| (!is_closed(stream)).then_some(())).count()
}

fn is_closed_or_answered(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0; 4_096]);
    stream.set_nonblocking(false).unwrap();
    read.map_or_else(|error| error.kind() != ErrorKind::WouldBlock, |_| true)
}

pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    test_facts::until(what, || condition().then_some(()));
}

fn limited(total: usize, per_address: usize) -> Service {
    Service::adjusted(move |settings| {
        settings.connections = ConnectionLimits {
            total: NonZeroUsize::new(total),
            per_address: NonZeroUsize::new(per_address),
            accepted: None,
        };
        settings.trusted_proxies = TrustedProxies::parse("127.0.0.200").unwrap();
    })
}

#[test]
fn a_head_without_a_credential_and_without_a_form_is_refused_before_its_body_comes() {
    let service = Service::start();
    for head in [
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n",
        "POST /?Format=JSON HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
        "POST / HTTP/1.1\r\nhost: x\r\nauthorization: Basic dTpw\r\ncontent-length: 9\r\n\r\n",
        "GET /?SignatureType=BEARERTOKEN&BearerToken=x HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n",
    ] {
        let mut stream = connect(&service, "127.0.0.1");
        stream.write_all(head.as_bytes()).unwrap();
        // The answer arrives although neither the rest of the body nor the end of the connection does.
        let mut bytes = vec![0; 4_096];
        let count = stream.read(&mut bytes).unwrap();
        let reply = Reply::parse(&bytes[..count]).unwrap();
        assert_eq!(reply.refusal(), (400, "IncompleteSignature".to_owned()), "{head}");
    }
    // A client that asks first (`expect`) gets the refusal too, instead of no answer.
    let mut stream = connect(&service, "127.0.0.1");
    let head = "POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.contains("IncompleteSignature"), "{text}");
}

#[test]
fn the_signer_of_a_v3_request_is_known_before_its_body_arrives() {
    let service = Service::start();
    let refused = |key: &Key, code: &str| {
        let mut request = get(&service).signed_v3(key, service.address);
        request.header_mut("content-type").replace_range(.., "application/x-www-form-urlencoded");
        let (head, body) = parted(&request, service.address);
        let mut stream = connect(&service, "127.0.0.1");
        stream.write_all(&[&head, &body[..4]].concat()).unwrap();
        let mut bytes = vec![0; 8_192];
        let count = stream.read(&mut bytes).unwrap();
        assert_eq!(Reply::parse(&bytes[..count]).unwrap().code(), code);
    };
    refused(&Key { id: "LTAInobody".to_owned(), ..service.root.clone() }, "InvalidAccessKeyId.NotFound");
    refused(&Key { secret: "wrong".to_owned(), ..service.root.clone() }, "SignatureDoesNotMatch");

    // The body of a caller who has the key is awaited, in pieces, and compared.
    let request = get(&service).signed_v3(&service.root, service.address);
    let (head, body) = parted(&request, service.address);
    let mut stream = connect(&service, "127.0.0.1");
    stream.write_all(&head).unwrap();
    for byte in &body {
        stream.write_all(&[*byte]).unwrap();
    }
    reply(&mut stream).done();
    let mut altered = get(&service).signed_v3(&service.root, service.address);
    altered.body[0] ^= 1;
    let reply = ask(&service, "127.0.0.1", &altered);
    assert_eq!(reply.code(), "SignatureDoesNotMatch");
    assert!(reply.text.contains("body"), "{reply:?}");
}

#[test]
fn unauthenticated_forms_take_no_more_than_their_share_and_cost_no_other_call() {
    let service = Service::start();
    let full = SHARE / ALMOST + 1;
    let mut held: Vec<TcpStream> = (0..2 * full)
        .map(|_| {
            let mut stream = connect(&service, "127.0.0.2");
            stream.write_all(&form_head(ALMOST + 1)).unwrap();
            stream
        })
        .collect();
    // All but the last byte of each. Those that find no room are told so, and may find the connection closed.
    std::thread::scope(|scope| {
        for stream in &mut held {
            scope.spawn(move || stream.write_all(&vec![b'a'; ALMOST]));
        }
    });
    // The connections that are held get no answer, so polling continues until enough of the others got one.
    let (mut told, mut closed) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut waiting: Vec<&mut TcpStream> = held.iter_mut().collect();
    while told + closed < full && Instant::now() < deadline {
        waiting.retain_mut(|stream| {
            stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            let mut bytes = vec![0; 4_096];
            let count = match stream.read(&mut bytes) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return true;
                }
                // If a connection is closed while its sender is still writing, the reply may be lost.
                Err(_) => 0,
                Ok(count) => count,
            };
            let Some(reply) = Reply::parse(&bytes[..count]) else {
                closed += 1;
                return false;
            };
            assert_eq!(reply.refusal(), (503, "ServiceUnavailable".to_owned()));
            assert_eq!(reply.header("retry-after"), Some("1"), "{reply:?}");
            assert_eq!(reply.json()["Retryable"], true, "{reply:?}");
            told += 1;
            false
        });
    }
    assert!(
        told > 0 && told + closed >= full,
        "of {} {told} were told that there is no room, and {closed} lost",
        2 * full
    );

    // The address is full for callers whose key is only in a form. A caller who signs in the head is not affected.
    healthy(&service, "127.0.0.2");
    let signed = get(&service).signed_v3(&service.root, service.address);
    ask(&service, "127.0.0.2", &signed).done();
    // Nor are callers at other addresses.
    ask(&service, "127.0.0.3", &all_in_form(&service, &service.root)).done();
    drop(held);
    // Connections that end make room, within the second for which a call waits.
    ask(&service, "127.0.0.2", &all_in_form(&service, &service.root)).done();
}

#[test]
fn whole_heads_take_their_share_while_their_forms_are_awaited() {
    let more = "a".repeat(119_000);
    heads_take_their_share(&format!("POST / HTTP/1.1\r\nx-more: {more}"));
    heads_take_their_share(&format!("POST /?More={more} HTTP/1.1"));
}

fn heads_take_their_share(begun: &str) {
    let service = Service::start();
    let head = format!(
        "{begun}\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\nexpect: 100-continue\r\n\
         content-length: 2\r\n\r\na"
    );
    let most = SHARE / head.len();
    let mut held: Vec<TcpStream> = (0..most + 20)
        .map(|_| {
            let mut stream = connect(&service, "127.0.0.2");
            let _ = stream.write_all(head.as_bytes());
            stream
        })
        .collect();
    // Each is told to continue when its head is complete.
    for stream in &mut held {
        let _ = stream.read(&mut [0; 25]);
    }
    // The address has used up its share, for forms too.
    let mut form = connect(&service, "127.0.0.2");
    form.write_all(&[form_head(ALMOST), vec![b'a'; ALMOST - 1]].concat()).unwrap();
    let mut bytes = vec![0; 4_096];
    let count = form.read(&mut bytes).unwrap();
    assert_eq!(Reply::parse(&bytes[..count]).unwrap().refusal(), (503, "ServiceUnavailable".to_owned()));
    until("what is more than a share is refused", || {
        held.retain_mut(|stream| !is_closed_or_answered(stream));
        held.len() <= most
    });
    assert!(!held.is_empty(), "all are refused");
    healthy(&service, "127.0.0.2");
    ask(&service, "127.0.0.2", &get(&service).signed_v3(&service.root, service.address)).done();
    ask(&service, "127.0.0.3", &all_in_form(&service, &service.root)).done();
    drop(held);
    ask(&service, "127.0.0.2", &all_in_form(&service, &service.root)).done();
}

#[test]
fn one_key_holds_no_more_bodies_than_its_share_and_waits_only_for_itself() {
    let service = Service::start();
    let user = |name: &str| {
        service
            .user(name, &[r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#])
    };
    let (greedy, other) = (user("greedy"), user("other"));
    // One signed head is enough: it is not used up before the body has arrived.
    let mut request = get(&service).signed_v3(&greedy, service.address);
    let length = 1024 * 1024;
    request = request.header("content-length", &length.to_string());
    let (head, _) = parted(&request, service.address);
    let share = 32;
    let sent: Vec<_> = (0..share + 16)
        .map(|_| {
            let stream = service.wait(async {
                let socket = tokio::net::TcpSocket::new_v4().unwrap();
                socket.set_send_buffer_size(16 * 1024).unwrap();
                socket.connect(service.address).await.unwrap().into_std().unwrap()
            });
            stream.set_nonblocking(true).unwrap();
            (stream, [&head[..], &vec![b'a'; length - 1]].concat())
        })
        .collect();
    let mut sending: Vec<_> = sent.into_iter().map(|(stream, bytes)| (stream, bytes, 0)).collect();
    let mut go_on = || {
        sending
            .iter_mut()
            .filter_map(|(stream, bytes, written)| {
                while *written < bytes.len() {
                    match stream.write(&bytes[*written..]) {
                        Ok(count) => *written += count,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => panic!("{error}"),
                    }
                }
                (*written == bytes.len()).then_some(())
            })
            .count()
    };
    until("the share is full", || go_on() >= share);
    // The next call with the same key waits; calls with other keys do not.
    let own = get(&service).signed_v3(&greedy, service.address);
    let mut waits = connect(&service, "127.0.0.1");
    waits.write_all(&own.bytes(service.address)).unwrap();
    for key in [&other, &service.root] {
        for _ in 0..5 {
            ask(&service, "127.0.0.1", &get(&service).signed_v3(key, service.address)).done();
        }
    }
    assert_eq!(go_on(), share, "more bodies than the share are received");
    waits.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(waits.read(&mut [0; 1]).is_err(), "it does not wait");
    drop(sending);
    waits.set_read_timeout(Some(TIMEOUT)).unwrap();
    reply(&mut waits).done();
}

#[test]
fn a_form_that_does_not_arrive_is_refused_after_some_seconds() {
    let service = Service::start();
    for (head, some) in [
        (form_head(100), "a"),
        (form_head(ALMOST), ""),
        (
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
           transfer-encoding: chunked\r\n\r\n"
                .to_vec(),
            "1\r\na\r\n",
        ),
    ] {
        let mut stream = connect(&service, "127.0.0.1");
        stream.write_all(&[&head, some.as_bytes()].concat()).unwrap();
        let mut bytes = vec![0; 4_096];
        let count = stream.read(&mut bytes).unwrap();
        let reply = Reply::parse(&bytes[..count]).unwrap();
        assert_eq!(reply.refusal(), (400, "InvalidParameter".to_owned()));
        assert!(reply.text.contains("did not arrive in time"), "{reply:?}");
    }
}

#[test]
fn a_form_that_is_longer_than_any_call_is_refused_unread() {
    let service = Service::start();
    let mut stream = connect(&service, "127.0.0.1");
    stream.write_all(&form_head(1024 * 1024 + 1)).unwrap();
    let mut bytes = vec![0; 4_096];
    let count = stream.read(&mut bytes).unwrap();
    let reply = Reply::parse(&bytes[..count]).unwrap();
    assert_eq!(reply.refusal(), (413, "RequestEntityTooLarge".to_owned()));
}

#[test]
fn unfinished_heads_make_room_for_complete_ones_of_their_address_and_of_others() {
    let service = limited(40, 10);
    let mut half: Vec<TcpStream> = (0..30)
        .map(|_| {
            let mut stream = connect(&service, "127.0.0.2");
            let _ = stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\nx-more: ");
            stream
        })
        .collect();
    // All are accepted: a new connection is checked before others arrive.
    until("the oldest are closed", || open(&mut half) <= 10);
    healthy(&service, "127.0.0.2");
    healthy(&service, "127.0.0.3");
    let left = open(&mut half);
    assert!((5..10).contains(&left), "{left} are open, and the youngest stay");

    // From many addresses, and with connections that send nothing at all.
    let mut many = Vec::new();
    for number in 0..80 {
        let mut stream = connect(&service, &format!("127.0.1.{}", number % 8 + 1));
        if number % 2 == 0 {
            let _ = stream.write_all(b"GET /he");
        }
        many.push(stream);
    }
    until("the oldest of all are closed", || open(&mut many) + open(&mut half) <= 40);
    for from in ["127.0.0.3", "127.0.1.1", "127.0.0.2"] {
        healthy(&service, from);
        let signed = get(&service).signed_v3(&service.root, service.address);
        ask(&service, from, &signed).done();
    }
    let left = open(&mut many) + open(&mut half);
    assert!((20..40).contains(&left), "{left} are open, and the youngest stay");
}

#[test]
fn a_connection_that_is_being_answered_is_not_closed_for_others() {
    let service = limited(10, 5);
    let request = get(&service).signed_v3(&service.root, service.address);
    let (head, body) = parted(&request, service.address);
    let mut answered = connect(&service, "127.0.0.2");
    answered.write_all(&head).unwrap();
    // Its head has been read once a later request has been answered by the same thread; there are two threads.
    for _ in 0..8 {
        healthy(&service, "127.0.0.3");
    }
    let flood: Vec<TcpStream> =
        (0..40).map(|number| connect(&service, &format!("127.0.1.{}", number % 8 + 1))).collect();
    healthy(&service, "127.0.0.3");
    answered.write_all(&body).unwrap();
    reply(&mut answered).done();
    drop(flood);

    // If all connections are being answered, there is no room, and the reply says so.
    let busy: Vec<TcpStream> = (0..5)
        .map(|_| {
            let request = get(&service).signed_v3(&service.root, service.address);
            let mut stream = connect(&service, "127.0.0.4");
            stream.write_all(&parted(&request, service.address).0).unwrap();
            stream
        })
        .collect();
    for _ in 0..8 {
        healthy(&service, "127.0.0.3");
    }
    let mut refused = None;
    for _ in 0..50 {
        let mut stream = connect(&service, "127.0.0.4");
        let mut bytes = Vec::new();
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let _ = stream.read_to_end(&mut bytes);
        refused = Reply::parse(&bytes).filter(|reply| reply.status == 503);
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.expect("all places of the address are taken");
    assert_eq!(refused.refusal(), (503, "ServiceUnavailable".to_owned()));
    assert_eq!(refused.header("retry-after"), Some("1"));
    healthy(&service, "127.0.0.3");
    drop(busy);
}

#[test]
fn a_connection_whose_form_is_awaited_makes_room_for_others() {
    let service = limited(20, 10);
    let mut awaited = Vec::new();
    for round in 0..5 {
        for number in 0..25 {
            let mut stream = connect(&service, &format!("127.0.1.{}", number % 5 + 1));
            // The missing byte never arrives. Some find the connection closed, because there was no room for them.
            let _ = stream.write_all(&[&form_head(2)[..], b"a"].concat());
            awaited.push(stream);
        }
        until("all are taken in", || open(&mut awaited) <= 20);
        for from in ["127.0.0.3", "127.0.1.1"] {
            for _ in 0..4 {
                healthy(&service, from);
            }
            let signed = get(&service).signed_v3(&service.root, service.address);
            ask(&service, from, &signed).done();
        }
        assert!(awaited.iter_mut().any(|stream| !is_closed(stream)), "all are closed in round {round}");
    }
}

#[test]
fn a_trusted_proxy_may_have_any_number_of_connections() {
    let service = limited(20, 5);
    let mut proxy: Vec<TcpStream> = (0..60)
        .map(|_| {
            let mut stream = connect(&service, "127.0.0.200");
            stream.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
            stream
        })
        .collect();
    healthy(&service, "127.0.0.1");
    for stream in &mut proxy {
        stream.write_all(b"host: x\r\nconnection: close\r\n\r\n").unwrap();
        assert_eq!(reply(stream).status, 200);
    }
}

#[test]
fn unfinished_heads_take_no_more_than_an_address_has() {
    for begun in ["GET / HTTP/1.1\r\nhost: x\r\nx-more: ", "GET /?More="] {
        unfinished_heads_take_their_share(begun);
    }
}

fn unfinished_heads_take_their_share(begun: &str) {
    let service = Service::start();
    let part = [begun.as_bytes(), &vec![b'a'; 119_000]].concat();
    let mut held: Vec<TcpStream> = (0..SHARE / part.len() + 20)
        .map(|_| {
            let mut stream = connect(&service, "127.0.0.2");
            let _ = stream.write_all(&part);
            stream
        })
        .collect();
    healthy(&service, "127.0.0.2");
    healthy(&service, "127.0.0.3");
    let whole = held.len();
    until("the oldest are closed", || {
        let closed = held.iter_mut().filter_map(|stream| is_closed(stream).then_some(())).count();
        assert!(closed < whole, "all are closed");
        closed >= 10
    });
}

#[test]
fn the_second_head_of_a_connection_has_a_time_limit_too() {
    let service = Service::start();
    let mut stream = connect(&service, "127.0.0.1");
    stream.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut bytes = vec![0; 4_096];
    let count = stream.read(&mut bytes).unwrap();
    assert_eq!(Reply::parse(&bytes[..count]).unwrap().status, 200);
    stream.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    // Either it ends, or reading it fails.
    let mut rest = Vec::new();
    let ended = stream.read_to_end(&mut rest);
    assert!(ended.is_ok() || ended.unwrap_err().kind() == ErrorKind::ConnectionReset);
}

#[test]
fn malformed_requests_are_counted_as_one_event() {
    let mut service = Service::start();
    for number in 0..30 {
        let bytes: &[u8] =
            if number % 3 == 0 { b"\x16\x03\x01\0\0\r\n\r\n" } else { b"GET / HTTP/9.9\r\n\r\n" };
        let mut stream = connect(&service, "127.0.0.2");
        stream.write_all(bytes).unwrap();
        assert_eq!(reply(&mut stream).refusal(), (400, "InvalidParameter".to_owned()));
    }
    service.stop();
    service.join();
    let events = service.audit_of_nobody();
    let told: Vec<_> =
        events.iter().map(|event| (event.source_address.unwrap().to_string(), event.how.as_str())).collect();
    assert_eq!(told, [("127.0.0.2".to_owned(), "30 refused: InvalidParameter 30")]);
}
