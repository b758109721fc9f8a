//! TagResources: sets tags of roles or of policies.

use domain::actions::TagResources;
use domain::gate::Granted;
use domain::identity::{EntityTags, Taggable};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::DoneReply;

use super::read;
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for TagResources {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        let things = read::things(request.resource_type, request.resource_names)?;
        let tags = read::tags(Some(request.tag));
        let tags =
            tags.and_then(|tags| if tags.is_empty() { Err(WireError::missing("Tag")) } else { Ok(tags) });
        Ok(Input { things, tags })
    }

    async fn locate(_: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(read::located(&input.things))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { things, tags } = input;
        let tags = tags?;
        let keys: Vec<&str> = tags.iter().map(|(key, _)| key).collect();
        let audit = call.audit_of_change(&granted, &format!("set {}", keys.join(", ")));
        call.store.set_tags(&granted, things, tags, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}

/// What gets which tags.
pub(crate) struct Input {
    things: Vec<Taggable>,
    tags: Deferred<EntityTags>,
}
