//! Attaching policies to users, groups and roles, detaching them, and listing what each has. The nine actions differ
//! only in who has the policy: the table below defines them.

use domain::actions::{
    AdministersIdentity, AttachPolicyToGroup, AttachPolicyToRole, AttachPolicyToUser, DetachPolicyFromGroup,
    DetachPolicyFromRole, DetachPolicyFromUser, ListPoliciesForGroup, ListPoliciesForRole,
    ListPoliciesForUser, ReadsIdentity,
};
use domain::gate::{Granted, IdentityResource, Resource};
use domain::identity::{AttachedPolicy, PolicyRef};
use domain::policy_bearer::PolicyBearer;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{AttachedPoliciesReply, AttachedPolicyItem, AttachedPolicyList, DoneReply};

use super::about;
use super::policies::policy::policy;
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

/// Implements the three actions of each kind of bearer: its requests name it in one of their fields.
macro_rules! attachments {
    ($(
        $bearer:ident by $field:ident: $attach:ident, $detach:ident, $list:ident;
    )*) => { $(
        impl RpcAction for $attach {
            type Input = Attachment;

            fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
                let bearer = PolicyBearer::$bearer(request.$field?);
                let policy = policy(request.policy_type, request.policy_name)?;
                request.resource_group_id.transpose()?;
                Ok(Attachment { bearer, policy })
            }

            async fn locate(_: &Call<'_>, attachment: &Self::Input) -> Result<Located, ActionError> {
                Ok(attachment.located())
            }

            async fn run(
                call: &Call<'_>,
                granted: Granted<Self>,
                attachment: Self::Input,
            ) -> Result<Done<Self::Reply>, ActionError> {
                attach(call, &granted, attachment).await
            }
        }

        impl RpcAction for $detach {
            type Input = Attachment;

            fn read(caller: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
                $attach::read(caller, request)
            }

            async fn locate(_: &Call<'_>, attachment: &Self::Input) -> Result<Located, ActionError> {
                Ok(attachment.located())
            }

            async fn run(
                call: &Call<'_>,
                granted: Granted<Self>,
                attachment: Self::Input,
            ) -> Result<Done<Self::Reply>, ActionError> {
                detach(call, &granted, attachment).await
            }
        }

        impl RpcAction for $list {
            type Input = PolicyBearer;

            fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
                Ok(PolicyBearer::$bearer(request.$field?))
            }

            async fn locate(_: &Call<'_>, bearer: &Self::Input) -> Result<Located, ActionError> {
                Ok(about(bearer.resource()))
            }

            async fn run(
                call: &Call<'_>,
                granted: Granted<Self>,
                bearer: Self::Input,
            ) -> Result<Done<Self::Reply>, ActionError> {
                list(call, &granted, &bearer).await
            }
        }
    )* };
}

attachments! {
    User by user_name: AttachPolicyToUser, DetachPolicyFromUser, ListPoliciesForUser;
    Group by group_name: AttachPolicyToGroup, DetachPolicyFromGroup, ListPoliciesForGroup;
    Role by role_name: AttachPolicyToRole, DetachPolicyFromRole, ListPoliciesForRole;
}

/// A policy, and who has it or is to have it.
pub(crate) struct Attachment {
    bearer: PolicyBearer,
    policy: PolicyRef,
}

impl Attachment {
    /// A caller who attaches or detaches needs the permission on both: on the user, group or role, and on the policy.
    fn located(&self) -> Located {
        let policy = IdentityResource::Policy(self.policy.clone());
        Resource::Identity(vec![self.bearer.resource(), policy]).into()
    }
}

async fn attach<A: AdministersIdentity>(
    call: &Call<'_>,
    granted: &Granted<A>,
    Attachment { bearer, policy }: Attachment,
) -> Result<Done<DoneReply>, ActionError> {
    let audit = call.audit_of_change(granted, "");
    call.store.attach_policy(granted, bearer, policy, call.now(), audit).await?;
    Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
}

async fn detach<A: AdministersIdentity>(
    call: &Call<'_>,
    granted: &Granted<A>,
    Attachment { bearer, policy }: Attachment,
) -> Result<Done<DoneReply>, ActionError> {
    let audit = call.audit_of_change(granted, "");
    call.store.detach_policy(granted, bearer, policy, audit).await?;
    Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
}

async fn list<A: ReadsIdentity>(
    call: &Call<'_>,
    granted: &Granted<A>,
    bearer: &PolicyBearer,
) -> Result<Done<AttachedPoliciesReply>, ActionError> {
    let attached = call.store.policies_attached_to(granted, bearer).await?;
    Ok(Done::read(AttachedPoliciesReply {
        request_id: call.request_id().to_string(),
        policies: AttachedPolicyList { policy: attached.into_iter().map(item).collect() },
    }))
}

fn item(attached: AttachedPolicy) -> AttachedPolicyItem {
    AttachedPolicyItem {
        policy_name: attached.policy.name.to_string(),
        policy_type: attached.policy.kind.as_str().to_owned(),
        description: attached.description,
        default_version: attached.default_version.to_string(),
        attach_date: wire_time(attached.attached_at),
    }
}
