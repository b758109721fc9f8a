//! Calls whose parameters are all in the query, however long it is: SDKs send files and scripts there.

use std::io::Write as _;

use crate::http::{Reply, Request, exchange};
use crate::pipelining::{HEALTH, LAST, kept, replies, statuses};
use crate::service::Service;
use crate::signing::{Call, Key};
use crate::unauthenticated::connect;

/// The maximum length of a target that is accepted.
const LONGEST: usize = 120_000;

/// An action of a product: its version, its name, parameters.
type Of = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// An action without side effects of each product.
const CALLS: [Of; 3] = [
    ("2022-02-20", "GetInstanceRecordConfig", &[("InstanceId", "i-one")]),
    ("2015-05-01", "ListUsers", &[]),
    ("2015-04-01", "GetCallerIdentity", &[]),
];

#[derive(Debug, Clone, Copy)]
enum Way {
    V3Get,
    V3Post,
    V3PostWithForm,
    V1Get,
    V1Post,
}

impl Way {
    const ALL: [Self; 5] = [Self::V3Get, Self::V3Post, Self::V3PostWithForm, Self::V1Get, Self::V1Post];

    fn signed(self, call: &Call, service: &Service, key: &Key) -> Request {
        let mut call = call.clone();
        call.method = if matches!(self, Self::V3Get | Self::V1Get) { "GET" } else { "POST" };
        if matches!(self, Self::V3PostWithForm) {
            call.form.push(("RegionId".to_owned(), "cn-hangzhou".to_owned()));
        }
        match self {
            Self::V3Get | Self::V3Post | Self::V3PostWithForm => call.signed_v3(key, service.address),
            Self::V1Get | Self::V1Post => call.signed_v1(key),
        }
    }
}

/// A call of a product with all parameters in its query.
fn call(service: &Service, (version, action, parameters): Of) -> Call {
    Call { version: version.to_owned(), ..Call::new(action, parameters, service.now()).by_get() }
}

/// The same, with a target of this many bytes: most of it is Base64 as encoded in a query, three bytes for each `+`.
fn of_length(service: &Service, way: Way, of: Of, length: usize) -> Request {
    let mut count = length;
    loop {
        // A new call each time: the length of a V1 signature in a query depends on what it signs.
        let padding = "+".repeat(count / 3) + &"a".repeat(count % 3);
        let request = way.signed(&call(service, of).query("Padding", &padding), service, &service.root);
        if request.target.len() == length {
            return request;
        }
        count = (count + length).saturating_sub(request.target.len());
    }
}

#[test]
fn a_target_of_120_000_bytes_is_a_call_like_any_other_on_every_product() {
    let service = Service::start();
    for of in CALLS {
        for way in Way::ALL {
            for length in [65_534, 65_535, 99_267, LONGEST] {
                let reply = of_length(&service, way, of, length).send(service.address);
                assert_eq!(reply.status, 200, "{of:?} {way:?} {length}: {reply:?}");
                assert_eq!(reply.json()["RequestId"].as_str(), reply.header("x-acs-request-id"));
            }
        }
    }
}

#[test]
fn a_longer_target_is_refused_in_the_contracts_shape_and_counted() {
    let mut service = Service::start();
    let mut refused = 0;
    let mut refuse = |request: Request| {
        let reply = request.send(service.address);
        let begins = &request.target[..20];
        assert_eq!(reply.refusal(), (413, "RequestEntityTooLarge".to_owned()), "{begins}");
        refused += 1;
    };
    for of in CALLS {
        for way in Way::ALL {
            refuse(of_length(&service, way, of, LONGEST + 1));
        }
    }
    for length in [131_072, 140_000, 500_000, 3_000_000] {
        refuse(of_length(&service, Way::V3Post, CALLS[0], length));
    }
    for target in ["/a".repeat(LONGEST), format!("/nothing?{}", "a".repeat(LONGEST)), "/a".repeat(40_000)] {
        refuse(Request::new("GET", &target));
    }
    service.stop();
    service.join();
    let told: Vec<_> = service.audit_of_nobody().into_iter().map(|event| event.how).collect();
    assert_eq!(told, [format!("{refused} refused: RequestEntityTooLarge {refused}")]);
}

#[test]
fn every_byte_of_a_long_query_is_signed() {
    let service = Service::start();
    for way in [Way::V3Post, Way::V1Get] {
        let request = of_length(&service, way, CALLS[0], LONGEST);
        for index in [70_000, LONGEST / 2, 100_000] {
            let mut changed = request.clone();
            let at = changed.target[index..].find("%2B").unwrap() + index;
            changed.target.replace_range(at..at + 3, "%2F");
            let reply = changed.send(service.address);
            assert_eq!(reply.code(), "SignatureDoesNotMatch", "{way:?} {index}");
        }
        assert_eq!(request.send(service.address).status, 200);
    }
}

#[test]
fn requests_with_and_without_long_queries_keep_their_order_on_one_connection() {
    let service = Service::start();
    let long = |instance: &str, method: &'static str| {
        let parameters = [("InstanceId", instance)];
        let mut call = Call::new("GetInstanceRecordConfig", &parameters, service.now()).by_get();
        call.method = method;
        call.query("Padding", &"+".repeat(30_000)).signed_v3(&service.root, service.address)
    };
    for cut in [1_000, 8_192, 1_000_000] {
        let in_form = Call::new("GetInstanceRecordConfig", &[("InstanceId", "i-two")], service.now())
            .signed_v3(&service.root, service.address);
        let bytes = [
            HEALTH,
            &kept(&service, &long("i-one", "POST")),
            // If it got the query of the request before, its signature would not be right.
            &kept(&service, &in_form),
            b"GET /?Padding=a HTTP/1.1\r\nhost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
            &kept(&service, &long("i-three", "GET")),
            b"\r\n",
            &kept(&service, &long("i-four", "POST")),
            LAST,
        ]
        .concat();
        let mut stream = connect(&service, "127.0.0.1");
        let mut writer = stream.try_clone().unwrap();
        let writing = std::thread::spawn(move || {
            for piece in bytes.chunks(cut) {
                writer.write_all(piece).unwrap();
            }
        });
        let all = replies(&mut stream);
        writing.join().unwrap();
        assert_eq!(statuses(&all), [200, 200, 200, 400, 400, 200, 200, 200], "in pieces of {cut}: {all:?}");
        let asked: Vec<_> = service.audit(4).into_iter().map(|event| event.resource).rev().collect();
        for (resource, instance) in asked.iter().zip(["i-one", "i-two", "i-three", "i-four"]) {
            assert!(resource.ends_with(&format!("workbench/{instance}")), "{asked:?}");
        }
    }
}

#[test]
fn other_methods_with_a_long_query_are_refused_as_with_a_short_one() {
    let service = Service::start();
    for method in ["PUT", "DELETE", "OPTIONS"] {
        let request = Request::new(method, &format!("/?Padding={}", "a".repeat(100_000)));
        assert_eq!(request.send(service.address).refusal(), (405, "UnsupportedHTTPMethod".to_owned()));
    }
    let head = Request::new("HEAD", &format!("/?Padding={}", "a".repeat(100_000)));
    let reply = head.send(service.address);
    assert_eq!((reply.status, reply.text.as_str()), (405, ""));
    let whole = format!("http://{}/?Padding={}", service.address, "a".repeat(100_000));
    assert_eq!(Request::new("GET", &whole).send(service.address).refusal().1, "IncompleteSignature");
    let elsewhere = Request::new("GET", &format!("/nothing?{}", "a".repeat(100_000)));
    assert_eq!(elsewhere.send(service.address).refusal().0, 404);
}

#[test]
fn a_byte_that_no_query_may_hold_is_refused_wherever_it_is() {
    let service = Service::start();
    for (query, status) in [
        (&b"A=1\x01"[..], 400),
        (b"A=1\xff", 400),
        (b"A=\"", 400),
        (b"A=<", 400),
        (b"A=1#b\x01", 400),
        // What comes after a # belongs to nothing, and is not signed.
        (b"A=1#B=\"<", 400),
        (b"A=1\r\nx: ", 400),
    ] {
        let before = vec![b'a'; 70_000];
        let head =
            [b"GET /nothing?Padding=", &before[..], b"&", query, b" HTTP/1.1\r\nhost: x\r\n\r\n"].concat();
        let reply = Reply::parse(&exchange(service.address, &head).unwrap()).unwrap();
        let expected = if query.ends_with(b"\"<") { 404 } else { status };
        assert_eq!(reply.refusal().0, expected, "{:?}: {reply:?}", String::from_utf8_lossy(query));
    }
}
