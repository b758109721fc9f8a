//! ListVirtualMFADevices: the virtual MFA devices of the account. There is no second factor yet, so that there are none.

use domain::actions::ListVirtualMFADevices;
use domain::gate::{Granted, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{ListVirtualMFADevicesReply, VirtualMFADeviceList};

use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListVirtualMFADevices {
    type Input = ();

    fn read(_: &Principal, _: Self::Request) -> Result<Self::Input, WireError> {
        Ok(())
    }

    async fn locate(_: &Call<'_>, _: &Self::Input) -> Result<Located, ActionError> {
        Ok(Resource::Everything.into())
    }

    async fn run(
        call: &Call<'_>,
        _: Granted<Self>,
        _: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        Ok(Done::read(ListVirtualMFADevicesReply {
            request_id: call.request_id().to_string(),
            virtual_mfa_devices: VirtualMFADeviceList { virtual_mfa_device: Vec::new() },
        }))
    }
}
