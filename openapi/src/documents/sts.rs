//! The operations of STS.

use super::Builder;
use crate::error_codes::ErrorCode;
use crate::sts::{AssumeRoleReply, AssumeRoleRequest, GetCallerIdentityReply, GetCallerIdentityRequest};

/// All of them.
pub(super) fn operations(document: &mut Builder) {
    document.operation::<AssumeRoleRequest, AssumeRoleReply>(
        "AssumeRole",
        "Starts a session of a role.",
        &[ErrorCode::EntityNotExist, ErrorCode::InvalidRamParameter],
    );
    document.operation::<GetCallerIdentityRequest, GetCallerIdentityReply>(
        "GetCallerIdentity",
        "Who the caller is. Needs no permission.",
        &[],
    );
}
