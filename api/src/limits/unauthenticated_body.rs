//! The body of a request whose sender must be known by it.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::http::header;

use crate::http::body::{Length, NotReceived};
use crate::http::request::Query;
use crate::limits::connections::Slot;
use crate::limits::unproven::{Hold, Unproven};

impl Unproven {
    /// Receives the body of a request whose sender must be known by it, of at most `most` bytes. The head, which is held
    /// meanwhile, counts too; and until the body is here, the connection can be closed to make room for others.
    pub(crate) async fn receive(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        http: &HttpRequest,
        payload: &mut Payload,
        most: usize,
    ) -> Result<(Vec<u8>, Hold), NotReceived> {
        let _unproven = http.conn_data::<Arc<Slot>>().map(Slot::awaits_unauthenticated_body);
        self.receive_from(address, head_length(http), payload, Length::of(http, most)).await
    }
}

/// What the head of a request takes, about: the bytes of its target and of its headers.
fn head_length(http: &HttpRequest) -> usize {
    let target = http.uri().path().len() + Query::of(http).as_str().len();
    let header =
        |(name, value): (&header::HeaderName, &header::HeaderValue)| name.as_str().len() + value.len();
    target + http.headers().iter().map(header).sum::<usize>()
}
