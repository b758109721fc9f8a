//! What a deployment's audit trail has, read from its database.

use std::sync::Arc;

use domain::Timestamp;
use domain::actions::AdministerIdentity;
use domain::gate::{PrincipalPolicies, RequestFacts, Resource, authorize};
use domain::principal::Principal;
use domain::server_keys::ServerKeys;
use persistence::{DatabaseUrl, Store};

use crate::Deployment;

/// The ids of the requests that the trail has rows of, one for each row. The database is the deployment's own unless one is
/// named.
#[must_use]
pub fn audited(deployment: &Deployment, database: Option<&str>) -> Vec<String> {
    let url = match database {
        None => DatabaseUrl::sqlite_file(&deployment.data_folder().join("hansard.db")),
        Some(url) => DatabaseUrl::parse(url).unwrap(),
    };
    let operator = Principal::Operator { account: deployment.account().parse().unwrap() };
    let (everything, policies) = (Resource::Everything, PrincipalPolicies::none());
    let facts = RequestFacts::at(Timestamp::from_millis(0));
    let granted = authorize::<AdministerIdentity>(&operator, everything, &policies, &facts).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rows = runtime.block_on(async {
        let keys = Arc::new(ServerKeys::generate().unwrap());
        let store = Store::connect_existing(url, keys).await.unwrap();
        store.latest_audit_events(&granted, 1_000_000).await.unwrap()
    });
    rows.into_iter().map(|row| row.request_id).collect()
}
