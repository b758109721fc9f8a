//! ListTagResources: the tags of roles or of policies.

use domain::actions::ListTagResources;
use domain::gate::Granted;
use domain::identity::{TagFilter, TagOfEntity, Taggable, TaggableKind};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::parameter_types::PageSize;
use openapi::ram::{ListTagResourcesReply, TagResourceItem};
use persistence::{PageRequest, TagQuery};

use super::read;
use crate::actions::list_refused;
use crate::actions::ram::about;
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

/// How many tags a page shows unless asked otherwise.
const DEFAULT_PAGE_SIZE: u32 = 20;

impl RpcAction for ListTagResources {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        let kind = request.resource_type;
        let of = request.resource_names.map(|names| read::things_if_any(kind, names)).transpose()?;
        let size = request.page_size.map_or(DEFAULT_PAGE_SIZE, PageSize::get);
        Ok(Input {
            kind,
            of: of.flatten(),
            filter: read::filter(request.tag),
            page: PageRequest::After { token: request.next_token.map(String::from), size },
        })
    }

    async fn locate(_: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(match &input.of {
            Some(things) => read::located(things),
            None => about(input.kind.all()),
        })
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { kind, of, filter, page } = input;
        let query = TagQuery { kind, of, filter: filter?, page };
        let page = call.store.list_tags(&granted, &query).await.map_err(list_refused)?;
        let item = |tag: TagOfEntity| TagResourceItem {
            resource_type: kind.as_str().to_owned(),
            resource_name: tag.name,
            tag_key: tag.key,
            tag_value: tag.value,
        };
        Ok(Done::read(ListTagResourcesReply {
            request_id: call.request_id().to_string(),
            next_token: page.next_token,
            tag_resources: page.tags.into_iter().map(item).collect(),
        }))
    }
}

/// Whose tags are listed, and which part.
pub(crate) struct Input {
    kind: TaggableKind,
    of: Option<Vec<Taggable>>,
    filter: Deferred<TagFilter>,
    page: PageRequest,
}
