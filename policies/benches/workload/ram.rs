//! The question as this crate is asked it.

use std::net::IpAddr;
use std::sync::Arc;

use policies::{Context, DocumentKind, Layers, PolicyDocument, PolicySet, Request, keys};

use super::{ACTION, Statement};

/// The policies in RAM's spelling.
pub(crate) fn documents(statements: usize) -> Vec<String> {
    super::documents(statements, "1", Statement::arn, keys::SOURCE_IP)
}

/// The policies of the user, read.
pub(crate) fn layers(statements: usize) -> Layers {
    let named = documents(statements).into_iter().enumerate().map(|(index, text)| {
        let document =
            PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).expect("a valid document");
        (Arc::from(format!("policy-{index}")), Arc::new(document))
    });
    Layers { identity: PolicySet::new(named.collect()), ..Layers::default() }
}

/// The context that the server makes.
pub(crate) fn context(address: &str) -> Context {
    let mut context = Context::new();
    context.insert(keys::SECURE_TRANSPORT, true);
    context.insert(keys::MFA_PRESENT, false);
    context.insert(keys::CURRENT_TIME, "2026-11-20T12:00:00Z");
    context.insert(keys::PRINCIPAL_ARN, "acs:ram::1234567890123456:user/alice");
    context.insert(keys::SOURCE_IP, address.parse::<IpAddr>().expect("an address"));
    context
}

/// The question.
pub(crate) fn request(context: &Context) -> Request<'_> {
    Request {
        principal: "acs:ram::1234567890123456:user/alice",
        action: ACTION,
        resource: "acs:ecs-workbench:cn-hangzhou:1234567890123456:workbench/i-prod7",
        context,
    }
}
