//! `/readyz`, and a replica that ends: it is announced first, then new work is refused, and what was accepted is finished.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use test_facts::until;

use crate::http::{Reply, Request};
use crate::service::Service;
use crate::signing::Call;

fn get(service: &Service, path: &str) -> Reply {
    Request::new("GET", path).send(service.address)
}

#[test]
fn a_replica_is_ready_as_long_as_its_database_answers() {
    let service = Service::start();
    let reply = get(&service, "/readyz");
    assert_eq!((reply.status, reply.json()["Status"].as_str()), (200, Some("ready")));
    service.lose_database();
    let reply = get(&service, "/readyz");
    assert_eq!(reply.refusal(), (503, "ServiceUnavailable".to_owned()));
    assert_eq!(reply.json()["Message"], "Not ready: the database does not answer.");
    for text in ["sql", "SQL", "hansard.db"] {
        assert!(!reply.text.contains(text), "{text}: {reply:?}");
    }
}

#[test]
fn an_announced_end_shows_and_everything_goes_on_except_connections() {
    let service = Service::start();
    let call = |service: &Service| {
        let call = Call::new("ListAgents", &[], service.now()).signed_v3(&service.root, service.address);
        let bytes = String::from_utf8(call.bytes(service.address)).unwrap();
        let mut stream = TcpStream::connect(service.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(bytes.replace("connection: close\r\n", "").as_bytes()).unwrap();
        let mut reply = Vec::new();
        // The server closes it, or this times out.
        stream.read_to_end(&mut reply).map(|_| Reply::parse(&reply).unwrap())
    };
    service.announce_end();
    let reply = get(&service, "/readyz");
    assert_eq!(reply.refusal(), (503, "ServiceUnavailable".to_owned()));
    assert!(reply.text.contains("this replica is ending"), "{reply:?}");
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(get(&service, "/healthz").status, 200);
    let reply = call(&service).expect("the reply is the last one on its connection");
    assert_eq!(reply.header("connection"), Some("close"));
    reply.done();
}

#[test]
fn a_replica_that_ends_refuses_new_work_while_it_finishes_what_it_has() {
    let mut service = Service::start();
    let parameters = [("InstanceId", "i-one"), ("Enabled", "true")];
    let call = Call::new("SetInstanceRecordConfig", &parameters, service.now());
    let bytes = call.signed_v3(&service.root, service.address).bytes(service.address);
    let (first, rest) = bytes.split_at(bytes.len() - 5);
    let mut in_flight = TcpStream::connect(service.address).unwrap();
    in_flight.write_all(first).unwrap();
    // A complete call on another connection: when it ends, the server has accepted the one before, on either worker.
    service.call("GetInstanceRecordConfig", &[("InstanceId", "i-one")]).done();
    service.call("GetInstanceRecordConfig", &[("InstanceId", "i-one")]).done();

    service.stop();
    until("it ends", || (get(&service, "/readyz").status == 503).then_some(()));
    let refused = service.call("ListAgents", &[]);
    assert_eq!(refused.refusal(), (503, "ServiceUnavailable".to_owned()));
    assert!(refused.text.contains("this replica is ending"), "{refused:?}");
    assert_eq!((refused.header("retry-after"), refused.header("connection")), (Some("1"), Some("close")));
    let refused = Request::new("POST", "/agent/v1/enrol").send(service.address);
    assert_eq!(refused.refusal(), (503, "ServiceUnavailable".to_owned()));
    assert_eq!(
        (refused.json()["Retryable"].as_bool(), refused.header("retry-after")),
        (Some(true), Some("1"))
    );
    assert_eq!(get(&service, "/healthz").status, 200);

    in_flight.write_all(rest).unwrap();
    let mut reply = Vec::new();
    in_flight.read_to_end(&mut reply).unwrap();
    Reply::parse(&reply).unwrap().done();
    service.join();
    assert!(TcpStream::connect(service.address).is_err(), "nobody listens any more");
}
