//! The source of a call: a trusted proxy's claim is believed, anybody else's is not. The test acts as the proxy, or
//! does not.

use api::TrustedProxies;

use crate::http::{Reply, Request};
use crate::service::Service;
use crate::signing::{Call, Key};

const FROM_THE_OFFICE_BY_TLS: &str = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*",
    "Condition":{"IpAddress":{"acs:SourceIp":"198.51.100.0/24"},"Bool":{"acs:SecureTransport":"true"}}}]}"#;
const NOT_FROM_THERE: &str = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},
    {"Effect":"Deny","Action":"*","Resource":"*","Condition":{"IpAddress":{"acs:SourceIp":"203.0.113.0/24"}}}]}"#;

fn behind(proxies: &'static str) -> Service {
    Service::adjusted(move |settings| {
        settings.trusted_proxies = TrustedProxies::parse(proxies).unwrap();
    })
}

fn call(service: &Service, key: &Key, headers: &[(&str, &str)]) -> Reply {
    let call = Call::new("ListAgents", &[], service.now()).signed_v3(key, service.address);
    let add = |request: Request, (name, value): &(&str, &str)| request.header(name, value);
    headers.iter().fold(call, add).send(service.address)
}

fn last_source(service: &Service) -> String {
    service.audit(1)[0].source_address.map(|address| address.to_string()).unwrap_or_default()
}

#[test]
fn what_a_trusted_proxy_says_counts_for_policy_and_audit() {
    let service = behind("127.0.0.0/8,192.0.2.7");
    let user = service.user("ana", &[FROM_THE_OFFICE_BY_TLS]);
    let https = ("x-forwarded-proto", "https");
    for list in
        ["198.51.100.9", "198.51.100.9, 192.0.2.7", "203.0.113.1, 198.51.100.9", "::ffff:198.51.100.9"]
    {
        call(&service, &user, &[("x-forwarded-for", list), https]).done();
        assert_eq!(last_source(&service), "198.51.100.9");
    }
    for (headers, source) in [
        (&[("x-forwarded-for", "198.51.100.9")][..], "198.51.100.9"),
        (&[("x-forwarded-for", "198.51.100.9"), ("x-forwarded-proto", "http")], "198.51.100.9"),
        (&[("x-forwarded-for", "198.51.100.9"), https, ("x-forwarded-proto", "http")], "198.51.100.9"),
        // The caller wrote the first entry, the proxy the last one.
        (&[("x-forwarded-for", "198.51.100.9, 203.0.113.1"), https], "203.0.113.1"),
        (&[("x-forwarded-for", "198.51.100.9"), ("x-forwarded-for", "203.0.113.1"), https], "203.0.113.1"),
        // The caller cannot be determined.
        (&[("x-forwarded-for", "198.51.100.9, unknown"), https], ""),
        (&[("forwarded", "for=198.51.100.9;proto=https"), https], "127.0.0.1"),
        (&[https], "127.0.0.1"),
    ] {
        let reply = call(&service, &user, headers);
        assert_eq!(reply.refusal(), (403, "Forbidden.RAM".to_owned()), "{headers:?}");
        assert_eq!(last_source(&service), source, "{headers:?}");
    }
}

#[test]
fn a_peer_that_is_not_a_trusted_proxy_is_the_caller_whatever_it_claims() {
    for proxies in ["", "192.0.2.7", "10.0.0.0/8,::/16"] {
        let service = behind(proxies);
        let (inside, outside) =
            (service.user("ana", &[FROM_THE_OFFICE_BY_TLS]), service.user("eve", &[NOT_FROM_THERE]));
        let office = [("x-forwarded-for", "198.51.100.9"), ("x-forwarded-proto", "https")];
        assert_eq!(call(&service, &inside, &office).refusal(), (403, "Forbidden.RAM".to_owned()));
        assert_eq!(last_source(&service), "127.0.0.1");
        // Nor can a caller put another address where a Deny checks it.
        call(&service, &outside, &[("x-forwarded-for", "203.0.113.1")]).done();
        assert_eq!(last_source(&service), "127.0.0.1");
    }
}
