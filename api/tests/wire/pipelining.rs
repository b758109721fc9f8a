//! Several requests on one connection: each is answered before the next one is processed, even if all arrived in one
//! write, and invalid data are refused wherever they are.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::num::NonZeroU32;
use std::time::Duration;

use api::{RateLimit, ThrottleLimits};

use crate::http::{Reply, Request};
use crate::log;
use crate::service::Service;
use crate::signing::Call;
use crate::unauthenticated::{connect, until};

pub(crate) const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
pub(crate) const LAST: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
const MALFORMED: &[u8] = b"G /\x01 x\r\n\r\n";

/// The bytes of a request that keeps the connection open.
pub(crate) fn kept(service: &Service, request: &Request) -> Vec<u8> {
    let bytes = request.bytes(service.address);
    let close = b"connection: close\r\n";
    let at = bytes.windows(close.len()).position(|window| window == close).unwrap();
    [&bytes[..at], &bytes[at + close.len()..]].concat()
}

fn signed(service: &Service) -> Request {
    Call::new("GetInstanceRecordConfig", &[("InstanceId", "i-one")], service.now())
        .signed_v3(&service.root, service.address)
}

/// All replies until the other side closes.
pub(crate) fn replies(stream: &mut TcpStream) -> Vec<Reply> {
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes);
    assert!(ended.is_ok() || !bytes.is_empty(), "{ended:?}");
    parsed(&bytes)
}

fn parsed(mut bytes: &[u8]) -> Vec<Reply> {
    let mut replies = Vec::new();
    while !bytes.is_empty() {
        let reply = Reply::parse(bytes)
            .unwrap_or_else(|| panic!("{:?} behind {replies:?}", String::from_utf8_lossy(bytes)));
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let length: usize = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        bytes = &bytes[(head + length).min(bytes.len())..];
        replies.push(reply);
    }
    replies
}

/// The next reply on a connection that stays open.
fn next(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4_096];
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "it is closed behind {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&piece[..count]);
        let Some(reply) = Reply::parse(&bytes) else { continue };
        let length: usize = reply.header("content-length").unwrap().parse().unwrap();
        if reply.text.len() >= length {
            return reply;
        }
    }
}

pub(crate) fn statuses(replies: &[Reply]) -> Vec<u16> {
    replies.iter().map(|reply| reply.status).collect()
}

#[test]
fn a_malformed_request_after_a_good_one_is_refused_and_counted_as_if_alone() {
    log::listen();
    let mut service = Service::start();
    let post = kept(&service, &signed(&service));
    for number in 0..30 {
        let mut stream = connect(&service, "127.0.0.2");
        match number % 3 {
            0 => stream.write_all(&[HEALTH, MALFORMED].concat()).unwrap(),
            1 => {
                stream.write_all(HEALTH).unwrap();
                assert_eq!(next(&mut stream).status, 200);
                stream.write_all(MALFORMED).unwrap();
                assert_eq!(
                    replies(&mut stream).pop().unwrap().refusal(),
                    (400, "InvalidParameter".to_owned())
                );
                continue;
            }
            _ => {
                let post = if number == 2 { post.clone() } else { kept(&service, &signed(&service)) };
                stream.write_all(&[HEALTH, &post, HEALTH, MALFORMED, HEALTH].concat()).unwrap();
            }
        }
        let mut all = replies(&mut stream);
        let last = all.pop().unwrap();
        assert_eq!(last.refusal(), (400, "InvalidParameter".to_owned()), "{all:?}");
        assert_eq!(statuses(&all), vec![200; if number % 3 == 0 { 1 } else { 3 }], "{all:?}");
    }
    service.stop();
    service.join();
    let told: Vec<_> = service.audit_of_nobody().into_iter().map(|event| event.how).collect();
    assert_eq!(told, ["30 refused: InvalidParameter 30"]);
    assert_eq!(log::errors_of_the_framework(), [] as [String; 0]);
}

#[test]
fn a_malformed_request_after_a_good_one_is_limited_as_if_alone() {
    let service = Service::adjusted(|settings| {
        let (per_second, burst) = (NonZeroU32::MIN, NonZeroU32::new(3).unwrap());
        settings.throttle =
            ThrottleLimits { address: Some(RateLimit { per_second, burst }), ..ThrottleLimits::default() };
    });
    let last = || {
        let mut stream = connect(&service, "127.0.0.2");
        stream.write_all(&[HEALTH, MALFORMED].concat()).unwrap();
        let all = replies(&mut stream);
        assert_eq!((all.len(), all[0].status), (2, 200));
        all[1].clone()
    };
    for _ in 0..3 {
        assert_eq!(last().refusal(), (400, "InvalidParameter".to_owned()));
    }
    assert_eq!(last().refusal(), (429, "Throttling.User".to_owned()));
}

#[test]
fn requests_that_come_together_are_answered_one_after_the_other_however_they_are_cut() {
    let service = Service::start();
    for cut in [1, 7, 100_000] {
        let mut chunked = signed(&service);
        chunked.chunked = true;
        let bytes = [
            HEALTH,
            &kept(&service, &signed(&service)),
            b"\r\n",
            &kept(&service, &chunked),
            &kept(&service, &signed(&service)),
            b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n",
            LAST,
        ]
        .concat();
        let mut stream = connect(&service, "127.0.0.1");
        for piece in bytes.chunks(cut) {
            stream.write_all(piece).unwrap();
        }
        let all = replies(&mut stream);
        assert_eq!(statuses(&all), [200, 200, 200, 200, 404, 200], "in pieces of {cut}: {all:?}");
        for call in &all[1..4] {
            call.done();
        }
    }
}

#[test]
fn a_body_that_nobody_reads_is_not_taken_for_the_next_request() {
    let service = Service::start();
    // A path that does not exist needs no body. A chunked body is read and dropped, and the connection continues;
    // otherwise the connection ends.
    let body = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let chunked = format!(
        "POST /nothing HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    let sized = format!("POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    for (request, more) in [(chunked, vec![200, 200]), (sized, Vec::new())] {
        let mut stream = connect(&service, "127.0.0.1");
        stream.write_all(&[request.as_bytes(), HEALTH, LAST].concat()).unwrap();
        let all = statuses(&replies(&mut stream));
        assert_eq!((all[0], &all[1..]), (404, more.as_slice()), "{request}");
    }
}

#[test]
fn malformed_chunks_are_one_refusal_and_no_error_of_the_server() {
    log::listen();
    let service = Service::start();
    for chunks in ["5\r\nab", "5\r\nabcdeX", "x", "1\r\na\r\nzz\r\n"] {
        let mut stream = connect(&service, "127.0.0.1");
        let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}{chunks}").as_bytes()).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let all = replies(&mut stream);
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(all[0].refusal().0, 400);
    }
    assert_eq!(log::errors_of_the_framework(), [] as [String; 0]);
}

#[test]
fn a_client_that_expects_100_continue_sends_its_body_and_the_next_request() {
    let service = Service::start();
    let request = signed(&service).header("expect", "100-continue");
    let bytes = kept(&service, &request);
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let mut stream = connect(&service, "127.0.0.1");
    stream.write_all(&bytes[..head]).unwrap();
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&[&bytes[head..], LAST].concat()).unwrap();
    let all = replies(&mut stream);
    assert_eq!(statuses(&all), [200, 200]);
    all[0].done();
}

#[test]
fn the_next_request_waits_until_the_reply_is_taken() {
    let service = Service::start();
    // Far more than the socket's buffers hold, and nothing reads meanwhile.
    let documents = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    let mut stream = connect(&service, "127.0.0.1");
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        writer.write_all(&[&documents, MALFORMED].concat()).unwrap();
    });
    writing.join().unwrap();
    let mut all = replies(&mut stream);
    assert_eq!(all.pop().unwrap().refusal(), (400, "InvalidParameter".to_owned()));
    assert_eq!(statuses(&all), vec![200; 100]);
}

#[test]
fn a_client_that_reads_nothing_of_a_reply_is_disconnected() {
    let service = Service::adjusted(|settings| settings.reply_patience = Duration::from_millis(300));
    let documents = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    let mut stream = connect(&service, "127.0.0.1");
    stream.write_all(&documents).unwrap();
    // It does not read; it notices that the connection is gone when it writes.
    until("the connection is closed", || stream.write_all(b"\r\n").is_err());
}
