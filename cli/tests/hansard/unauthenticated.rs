//! Unauthenticated requests cannot fill the log.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::deployment::Server;

#[test]
fn malformed_requests_are_answered_and_not_logged_one_by_one() {
    let server = Server::start(&["--log-filter", "info"]);
    let before = server.log().lines().count();
    let say = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(bytes).unwrap();
        let mut reply = String::new();
        // After a reply to a request that it did not read completely, the server may reset the connection.
        let _ = stream.read_to_string(&mut reply);
        reply
    };
    let answered = |bytes: &[u8], status: &str| {
        let reply = say(bytes);
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{reply}");
        assert!(reply.contains("\"RequestId\""), "{reply}");
    };
    let endless = [b"GET / HTTP/1.1\r\nhost: x\r\nx-long: ".to_vec(), vec![b'a'; 200_000]].concat();
    let long = [&endless, &b"\r\n\r\n"[..]].concat();
    std::thread::scope(|scope| {
        // The rest of this one is awaited for as long as a head may take: one such request is enough, at the same
        // time as the others.
        scope.spawn(|| answered(&endless, "413"));
        for _ in 0..25 {
            answered(b"\x16\x03\x01\x02\0\x01\0\r\n\r\n", "400");
            answered(b"GET / HTTP/9.9\r\n\r\n", "400");
            answered(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: nonsense\r\n\r\n", "400");
            answered(&long, "413");
        }
    });
    let log = server.log();
    let written: Vec<_> = log.lines().skip(before).collect();
    assert_eq!(written, Vec::<&str>::new());
}
