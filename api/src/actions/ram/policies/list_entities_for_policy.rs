//! ListEntitiesForPolicy: the users, groups and roles that a policy is attached to.

use domain::AccountId;
use domain::actions::ListEntitiesForPolicy;
use domain::gate::Granted;
use domain::identity::{BearingGroup, BearingRole, BearingUser, PolicyRef};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{
    BearingGroupItem, BearingGroupList, BearingRoleItem, BearingRoleList, BearingUserItem, BearingUserList,
    ListEntitiesForPolicyReply,
};

use super::policy;
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListEntitiesForPolicy {
    type Input = PolicyRef;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        policy::policy(request.policy_type, request.policy_name)
    }

    async fn locate(_: &Call<'_>, policy: &Self::Input) -> Result<Located, ActionError> {
        Ok(policy::located(policy.clone()))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        policy: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let bearers = call.store.bearers_of_policy(&granted, &policy).await?;
        let account = granted.account();
        Ok(Done::read(ListEntitiesForPolicyReply {
            request_id: call.request_id().to_string(),
            users: BearingUserList { user: bearers.users.into_iter().map(user).collect() },
            groups: BearingGroupList { group: bearers.groups.into_iter().map(group).collect() },
            roles: BearingRoleList {
                role: bearers.roles.into_iter().map(|bearing| role(account, bearing)).collect(),
            },
        }))
    }
}

fn user(bearing: BearingUser) -> BearingUserItem {
    BearingUserItem {
        user_id: bearing.id.to_string(),
        user_name: bearing.name.to_string(),
        display_name: bearing.display_name,
        attach_date: wire_time(bearing.attached_at),
    }
}

fn group(bearing: BearingGroup) -> BearingGroupItem {
    BearingGroupItem {
        group_name: bearing.name.to_string(),
        comments: bearing.comments,
        attach_date: wire_time(bearing.attached_at),
    }
}

fn role(account: &AccountId, bearing: BearingRole) -> BearingRoleItem {
    BearingRoleItem {
        role_id: bearing.id.to_string(),
        arn: format!("acs:ram::{account}:role/{}", bearing.name),
        role_name: bearing.name.to_string(),
        description: bearing.description,
        attach_date: wire_time(bearing.attached_at),
    }
}
