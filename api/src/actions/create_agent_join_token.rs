//! CreateAgentJoinToken: a token with which one agent joins, shown once.

use domain::actions::CreateAgentJoinToken;
use domain::agent::{InstancePattern, JoinToken, JoinTokenLifetime, JoinTokenSecret};
use domain::gate::{Granted, InstanceFacts, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::workbench::{CreateAgentJoinTokenReply, Envelope};
use persistence::JoinTokenIssued;

use super::wire_time;
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for CreateAgentJoinToken {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(Input {
            instances: request.instance_id?,
            lifetime: request.ttl_seconds.unwrap_or(Ok(JoinTokenLifetime::DEFAULT)),
            permits_replace: request.replace.unwrap_or(false),
        })
    }

    async fn locate(call: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        let resource = match input.instances.as_instance() {
            Some(instance) => call.instance(instance).await?,
            // A pattern could name any instance, so it is asked about as all of them are.
            None => Resource::AllInstances { region: call.hansard.settings.region.clone() },
        };
        Ok(resource.into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let lifetime = input.lifetime?;
        let region = match granted.resource() {
            Resource::Instance(InstanceFacts { region, .. }) | Resource::AllInstances { region } => {
                region.clone()
            }
            _ => call.hansard.settings.region.clone(),
        };
        let secret = JoinTokenSecret::generate();
        let token = JoinToken {
            hash: secret.hash(),
            account: granted.account().clone(),
            region,
            instances: input.instances,
            permits_replace: input.permits_replace,
            created_by: granted.principal().arn(),
            created_at: call.now(),
            expires_at: lifetime.counted_from(call.now()),
        };
        let expires_at = token.expires_at;
        let how = if token.permits_replace { "replace" } else { "" };
        call.hansard
            .store
            .apply(&granted, JoinTokenIssued { token }, call.audit_of_change(&granted, how))
            .await?;
        Ok(Done::changed(CreateAgentJoinTokenReply {
            envelope: Envelope::ok(call.request_id().as_str()),
            root: true,
            token: secret.reveal().to_owned(),
            token_expire_time: wire_time(expires_at),
        }))
    }
}

/// The token that is wanted.
pub(crate) struct Input {
    instances: InstancePattern,
    lifetime: Deferred<JoinTokenLifetime>,
    permits_replace: bool,
}
