//! `hansard admin`: identity, directly in the database. It asks the gate as an operator, like every other caller.

mod audit;
mod control_policies;
mod identity;
mod instances;
mod policies;
mod server_keys;

use std::sync::Arc;

use domain::actions::{Action as _, AdministerIdentity};
use domain::audit::{AuditDecision, AuditEvent, AuditOrigin, DEPLOYMENT_ACCOUNT};
use domain::clock::{Clock as _, SystemClock};
use domain::gate::{Granted, InstanceFacts, PrincipalPolicies, RequestFacts, Resource, authorize};
use domain::identity::IdentityRefused;
use domain::principal::Principal;
use domain::{AccountId, InstanceId, Region, Timestamp};
use persistence::{Store, StoreError};
use tokio::runtime::Runtime;

use crate::arguments::{AdminArguments, AdminCommand};
use crate::deployment::{DataDirectory, connect_existing, server_keys, server_keys_path};
use crate::environment::Environment;
use crate::failure::{Failure, chain};
use crate::settings::Settings;
use crate::terminal;

/// Runs the command.
///
/// # Errors
/// A setting is bad, the database cannot be reached, or it refuses.
pub(crate) fn run(
    arguments: &AdminArguments,
    environment: &Environment,
    runtime: &Runtime,
) -> Result<(), Failure> {
    if let AdminCommand::ServerKeys(command) = &arguments.command {
        // A file that is named needs no settings.
        let default = || {
            let settings = resolve(arguments, environment)?;
            match &settings.server_keys {
                Some(file) => Ok(file.clone()),
                None => Ok(server_keys_path(&settings, &DataDirectory::open(&settings)?)),
            }
        };
        return server_keys::run(command, arguments.output, default);
    }
    let settings = resolve(arguments, environment)?;
    runtime.block_on(async {
        let data = DataDirectory::open(&settings)?;
        let keys = Arc::new(server_keys(&settings, &data, false)?);
        let store = connect_existing(&settings, &data, &keys).await?;
        let account = match (&arguments.account_id, &arguments.command) {
            // It is in no list of accounts: only an operator reads what is recorded about unauthenticated callers.
            (Some(named), AdminCommand::Audit(_)) if *named == *DEPLOYMENT_ACCOUNT => named.clone(),
            (named, _) => account(&store, named.as_ref()).await?,
        };
        let operator = Operator::new(account, SystemClock.now())?;
        let done = match &arguments.command {
            AdminCommand::Audit(list) => {
                audit::run(list, arguments.output, &store, &operator, &settings.region).await
            }
            AdminCommand::Instance(command) => {
                instances::run(command, arguments.output, &store, &operator).await
            }
            command => identity::run(command, arguments.output, &store, &operator, &data).await,
        };
        // The change is done. If this fails, a control plane anchors it within a minute.
        if let Err(error) = store.end_audit(SystemClock.now()).await {
            terminal::note(&format!(
                "the audit chain of this command could not be signed: {}",
                chain(&error)
            ));
        }
        done
    })
}

fn resolve(arguments: &AdminArguments, environment: &Environment) -> Result<Settings, Failure> {
    Settings::resolve(&arguments.store.flags(), arguments.store.config(), environment)
}

/// The account that the command works on.
async fn account(store: &Store, named: Option<&AccountId>) -> Result<AccountId, Failure> {
    let accounts = store.all_accounts().await.map_err(refused)?;
    match (named, accounts.as_slice()) {
        (Some(named), known) if known.contains(named) => Ok(named.clone()),
        (Some(named), _) => Err(Failure::usage(format!("there is no account {named}"))),
        (None, [only]) => Ok(only.clone()),
        (None, []) => Err(Failure::failed("there is no account yet; start `hansard serve` once")),
        (None, several) => {
            let ids: Vec<_> = several.iter().map(AccountId::as_str).collect();
            Err(Failure::usage(format!(
                "there are several accounts, name one with --account-id: {}",
                ids.join(", ")
            )))
        }
    }
}

/// The message for a refusal of the store.
fn refused(error: StoreError) -> Failure {
    match error {
        StoreError::NotFound { .. }
        | StoreError::Identity(IdentityRefused::NotExist { .. } | IdentityRefused::NoSystemPolicy { .. }) => {
            Failure::not_found(chain(&error))
        }
        _ => Failure::failed(chain(&error)),
    }
}

/// An operator at the database, with the gate's permission.
struct Operator {
    granted: Granted<AdministerIdentity>,
    now: Timestamp,
}

impl Operator {
    fn new(account: AccountId, now: Timestamp) -> Result<Self, Failure> {
        let principal = Principal::Operator { account };
        let facts = RequestFacts::at(now);
        let granted = authorize(&principal, Resource::Everything, &PrincipalPolicies::none(), &facts)
            .map_err(|denied| Failure::failed(denied.to_string()))?;
        Ok(Self { granted, now })
    }

    /// The same permission for one instance, or for all.
    fn granted_on(
        &self,
        instance: Option<&InstanceId>,
        region: &Region,
    ) -> Result<Granted<AdministerIdentity>, Failure> {
        let Some(instance) = instance.cloned() else { return Ok(self.granted.clone()) };
        let resource = Resource::Instance(InstanceFacts::untagged(region.clone(), instance));
        let facts = RequestFacts::at(self.now);
        authorize(self.granted.principal(), resource, &PrincipalPolicies::none(), &facts)
            .map_err(|denied| Failure::failed(denied.to_string()))
    }

    /// The audit row of a change: what was done (`user create`) to what (`user/ana`).
    fn audit(&self, how: &str, resource: String) -> AuditEvent {
        let request_id = uuid::Uuid::new_v4().to_string().to_uppercase();
        let origin = AuditOrigin {
            user_agent: concat!("hansard admin/", env!("CARGO_PKG_VERSION")).to_owned(),
            ..AuditOrigin::new(request_id, self.now, self.granted.principal())
        };
        let decision = AuditDecision::Allowed { by: self.granted.by().to_owned() };
        let event = AuditEvent::new(origin, AdministerIdentity::ENTRY.name, resource, decision, "OK");
        AuditEvent { how: how.to_owned(), ..event }
    }
}
