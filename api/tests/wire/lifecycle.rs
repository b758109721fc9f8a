//! A server that stops, or loses its database: calls in flight are answered, idle connections are closed, nothing new
//! is accepted; and without a database every call gets an error that says so.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::http::{Reply, Request, exchange};
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
    // A complete call on another connection: when it ends, the server has accepted the one before, on either worker.
    service.call("GetInstanceRecordConfig", &[("InstanceId", "i-one")]).done();
    service.call("GetInstanceRecordConfig", &[("InstanceId", "i-one")]).done();

    // Each read below times out long before the end of a stop that waited for idle connections.
    service.stop();
    let mut remainder = Vec::new();
    idle.read_to_end(&mut remainder).unwrap();
    in_flight.write_all(rest).unwrap();
    let mut reply = Vec::new();
    in_flight.read_to_end(&mut reply).unwrap();
    Reply::parse(&reply).unwrap().done();
    service.join();
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

#[test]
fn without_its_database_the_server_says_so_and_may_be_asked_again() {
    let service = Service::start();
    service.call("ListAgents", &[]).done();
    service.lose_database();
    for parameters in [&[][..], &[("Format", "XML")]] {
        let reply = service.call("ListAgents", parameters);
        assert_eq!(reply.status, 503, "{reply:?}");
        for text in ["ServiceUnavailable", "RequestId", "HostId", "Retry with growing pauses"] {
            assert!(reply.text.contains(text), "{text}: {reply:?}");
        }
        for text in ["sql", "SQL", "hansard.db", "database disk"] {
            assert!(!reply.text.contains(text), "{text}: {reply:?}");
        }
    }
    assert_eq!(service.call("ListAgents", &[]).refusal(), (503, "ServiceUnavailable".to_owned()));
    // An agent gets the same answer, and that trying again helps.
    let body = r#"{"JoinToken":"hjt-a","InstanceId":"i-one","AuthenticationPublicKey":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
        "SealingPublicKey":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=","Hostname":"h","AgentVersion":"1","Capabilities":[],"Replace":false}"#;
    let mut enrolment = Request::new("POST", "/agent/v1/enrol").header("content-type", "application/json");
    enrolment.body = body.as_bytes().to_vec();
    let reply = enrolment.send(service.address);
    assert_eq!(reply.refusal(), (503, "ServiceUnavailable".to_owned()));
    assert_eq!(reply.json()["Retryable"], true);
}
