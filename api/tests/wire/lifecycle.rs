//! A server that stops: what is in flight is answered, what is idle is closed, and nothing new is taken.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::http::{Reply, exchange};
use crate::service::Service;
use crate::signing::Call;

fn connect(service: &Service) -> TcpStream {
    let stream = TcpStream::connect(service.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

#[test]
fn a_call_in_flight_is_answered_and_an_idle_connection_is_closed() {
    let mut service = Service::start();
    let parameters = [("InstanceId", "i-one"), ("Enabled", "true")];
    let call = Call::new("SetInstanceRecordConfig", &parameters, service.now());
    let bytes = call.signed_v3(&service.root, service.address).bytes(service.address);
    let mut idle = connect(&service);
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut some = [0; 16];
    idle.read_exact(&mut some).unwrap();
    let (first, rest) = bytes.split_at(bytes.len() - 5);
    let mut in_flight = connect(&service);
    in_flight.write_all(first).unwrap();
    // A whole call on another connection: by its end the server has taken up the one before, on either worker.
    service.call("GetInstanceRecordConfig", &[("InstanceId", "i-one")]).done();
    service.call("GetInstanceRecordConfig", &[("InstanceId", "i-one")]).done();

    let began = Instant::now();
    service.stop();
    let mut remainder = Vec::new();
    idle.read_to_end(&mut remainder).unwrap();
    in_flight.write_all(rest).unwrap();
    let mut reply = Vec::new();
    in_flight.read_to_end(&mut reply).unwrap();
    Reply::parse(&reply).unwrap().done();
    service.join();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(exchange(service.address, b"GET / HTTP/1.1\r\n\r\n").is_err());
    let restarted = service.beside();
    let config = restarted.call("GetInstanceRecordConfig", &[("InstanceId", "i-one")]).done();
    assert_eq!(config["Enabled"], true);
}

#[test]
fn one_connection_carries_many_calls() {
    let service = Service::start();
    let mut stream = connect(&service);
    for _ in 0..20 {
        let call = Call::new("ListAgents", &[], service.now()).signed_v3(&service.root, service.address);
        let bytes =
            String::from_utf8(call.bytes(service.address)).unwrap().replace("connection: close\r\n", "");
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut reply = Vec::new();
        let whole = loop {
            let mut some = [0; 4096];
            let count = stream.read(&mut some).unwrap();
            assert!(count > 0, "the connection was closed");
            reply.extend_from_slice(&some[..count]);
            let length =
                |reply: &Reply| reply.header("content-length").and_then(|length| length.parse().ok());
            if let Some(parsed) = Reply::parse(&reply)
                && length(&parsed) == Some(parsed.text.len())
            {
                break parsed;
            }
        };
        whole.done();
    }
}
