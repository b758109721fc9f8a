//! What an action of the wire takes and gives: beside its row in the catalogue, all that the documents and dispatch need.

use domain::actions::Action;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error_codes::ErrorCode;
use crate::parameters::Parameters;

/// An action of the wire with its shapes.
pub trait Operation: Action {
    /// Its parameters, as they stand on the wire.
    type Request: Parameters;
    /// Its reply.
    type Reply: Serialize + ToSchema;
    /// What it can be refused with beside what any call can, and what its parameters can.
    const REFUSALS: &'static [ErrorCode];
}

/// Gives actions their requests, replies and refusals: `Action: Request => Reply, [codes];`.
macro_rules! operations {
    ($( $action:ident: $request:ty => $reply:ty $(, [$($code:ident),+])? ; )*) => { $(
        impl $crate::operations::Operation for domain::actions::$action {
            type Request = $request;
            type Reply = $reply;
            const REFUSALS: &'static [$crate::ErrorCode] = &[ $($($crate::ErrorCode::$code),+)? ];
        }
    )* };
}

pub(crate) use operations;
