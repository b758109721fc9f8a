//! The store: one transaction for each decision, and reads that stay within their grant.

mod access_keys;
mod account_settings;
mod agent_links;
mod agents;
mod apply;
mod at_once;
mod attachments;
mod audit;
mod audit_anchors;
mod audit_export;
mod audit_files;
mod audit_kept;
mod audit_kept_verify;
mod audit_pruned;
mod audit_pruning;
mod audit_recent;
mod audit_verify;
mod audit_vouched;
mod before_principal;
mod begun_anew;
mod blocking;
mod change_audit;
mod configuration;
mod control_policies;
mod deciding;
mod facts;
mod group_commit;
mod group_thread;
mod group_work;
mod groups;
mod holding;
mod identity_tags;
mod in_force;
mod instances;
mod key_usage;
mod link_notes;
mod login_profiles;
mod policies;
mod policy_steps;
mod policy_versions;
mod recording_continuity;
mod recordings;
mod replicas;
mod revisions;
mod role_sessions;
mod roles;
mod simulations;
mod spool_disks;
mod succession;
mod sweep;
mod unclaimed;
mod users;
mod waiting;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use domain::audit::AuditEvent;
use domain::decided_under::{DecidedUnder, Revisions, Under};
use domain::gate::{Granted, IdentityResource, Resource};
use domain::principal::Principal;
use domain::record_config::InstanceSelector;
use domain::recording_life::Recording;
use domain::server_keys::ServerKeys;
use domain::{AccountId, AgentId, InstanceId, Timestamp};
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use tokio::task::JoinHandle;

pub use agent_links::LinkTaken;
pub use agents::RemovedAgent;
pub use apply::{Change, Heard, OfAgent};
pub use audit_export::{AuditExport, AuditExportError};
pub use audit_files::{AuditExports, PutAway};
pub use audit_kept::KeepAnchorsError;
pub use audit_pruning::{AuditPruning, WithheldPruning};
pub use audit_verify::HeldAgainst;
pub use before_principal::NonceClaim;
use begun_anew::begun_anew;
use change_audit::AuditRows;
pub use deciding::Deciding;
pub use group_commit::Settled;
pub use group_work::Once;
pub use identity_tags::{TagPage, TagQuery};
pub use in_force::InForce;
pub use link_notes::{LinkLease, LinkNoted};
pub use succession::Taking;
pub use waiting::ListsWaiting;

use crate::compiled_policies::CompiledPolicies;
use crate::database::Connections;
use crate::durability::{self, Durability, LossySettings};
use crate::error::COMMIT;
use crate::nonces::Nonces;
use crate::rows::replica_rows;
use crate::rows::revision_rows::{self, Grows};
use crate::{DatabaseUrl, StoreError};

/// The database. Cloning it is cheap; all clones share their connections.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// Of a store for one call only.
    held: Option<holding::Held>,
}

struct Inner {
    connections: Connections,
    keys: Arc<ServerKeys>,
    compiled: CompiledPolicies,
    audit: audit::AuditWriter,
    groups: group_commit::GroupCommit,
    nonces: Nonces,
    link_notes: link_notes::LinkNotes,
    in_force: in_force::AccountsInForce,
    anchored: audit_anchors::Anchored,
    exports: audit_export::Exports,
    revisions: revisions::Revisions,
    key_usage: key_usage::KeyUsage,
    facts: deciding::KeptFacts,
    /// Calls that are decided inside a transaction take turns.
    holding: tokio::sync::Mutex<()>,
}

/// The work of a transaction, before its audit row is written and it is committed.
type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Whether replicas and agents must be notified of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Revision {
    Bumped,
    /// As [`Revision::Bumped`], where the account may be made only by the change.
    BumpedOfNewAccount,
    /// What was decided from instances or their tags is decided once more, and nothing else.
    BumpedOfInstances,
    Kept,
}

impl Revision {
    /// What grows before anything else is done.
    fn grows(self) -> Option<Grows> {
        match self {
            Self::Bumped => Some(Grows::Account),
            Self::BumpedOfInstances => Some(Grows::Instances),
            Self::BumpedOfNewAccount | Self::Kept => None,
        }
    }
}

/// Whose rows a transaction changes, and what permits it.
#[derive(Debug, Clone)]
struct Permitted {
    account: AccountId,
    /// What it was decided under; empty for what fixed rules or the program itself decide.
    decided_under: DecidedUnder,
}

impl From<AccountId> for Permitted {
    fn from(account: AccountId) -> Self {
        Self { account, decided_under: DecidedUnder::default() }
    }
}

impl<A: domain::actions::Action> From<&Granted<A>> for Permitted {
    fn from(granted: &Granted<A>) -> Self {
        Self { account: granted.account().clone(), decided_under: granted.decided_under().clone() }
    }
}

/// The parts of a grant by which rows are selected.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    account: AccountId,
    instance: Option<InstanceId>,
    resource: Resource,
    /// The agent that calls; `None` for every other caller.
    agent: Option<AgentId>,
}

impl Scope {
    fn of<A: domain::actions::Action>(granted: &Granted<A>) -> Self {
        Self {
            account: granted.account().clone(),
            instance: granted.instance().cloned(),
            resource: granted.resource().clone(),
            agent: match granted.principal() {
                Principal::Agent { agent, .. } => Some(agent.clone()),
                _ => None,
            },
        }
    }

    /// Refuses an agent that another one has succeeded. The caller has locked the recording: what an agent was permitted
    /// before it was replaced must not be written after its successor took the recording over.
    fn admits_holder(&self, recording: &Recording) -> Result<(), StoreError> {
        match &self.agent {
            Some(agent) if agent == recording.holder() => Ok(()),
            _ => Err(StoreError::AgentRetired),
        }
    }

    /// Refuses another account or instance than those of the grant.
    fn admits(
        &self,
        what: &'static str,
        account: &AccountId,
        instance: &InstanceId,
    ) -> Result<(), StoreError> {
        let same_instance = self.instance.as_ref().is_none_or(|granted| granted == instance);
        if *account == self.account && same_instance {
            Ok(())
        } else {
            Err(StoreError::OutsideGrant { what })
        }
    }

    /// Refuses another instance than the granted one, and `*` where only one instance was granted.
    fn admits_selector(&self, selector: &InstanceSelector) -> Result<(), StoreError> {
        match (&self.instance, selector) {
            (None, _) => Ok(()),
            (Some(granted), InstanceSelector::One(asked)) if granted == asked => Ok(()),
            (Some(_), _) => Err(StoreError::OutsideGrant { what: "InstanceId" }),
        }
    }

    /// Refuses an entity of the identity store that the grant does not name. A grant for everything, such as that of
    /// `hansard admin`, names all of them.
    fn admits_identity(&self, thing: &IdentityResource) -> Result<(), StoreError> {
        let admitted = match &self.resource {
            Resource::Everything => true,
            Resource::Identity(granted) => granted.contains(thing),
            Resource::Instance(_)
            | Resource::Recording { .. }
            | Resource::List(_)
            | Resource::AllInstances { .. } => false,
        };
        if admitted { Ok(()) } else { Err(StoreError::OutsideGrant { what: thing.kind() }) }
    }

    /// Refuses any grant that is not for everything, which administration from outside the server has.
    fn admits_everything(&self, what: &'static str) -> Result<(), StoreError> {
        match &self.resource {
            Resource::Everything => Ok(()),
            _ => Err(StoreError::OutsideGrant { what }),
        }
    }
}

impl Store {
    /// Connects and brings the schema up to date, also where the database confirms commits that can be lost;
    /// [`Store::lossy_settings`] names the causes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; [`StoreError::Conflict`] when an account has the id that is reserved for the
    /// deployment.
    pub async fn connect(url: DatabaseUrl, keys: Arc<ServerKeys>) -> Result<Self, StoreError> {
        Self::serving(&url, Connections::open(&url, Durability::NotAsked).await?, keys).await
    }

    /// As [`Store::connect`], but only where a commit that was confirmed survives a failure of the database's machine.
    ///
    /// # Errors
    /// [`StoreError::CommitsCanBeLost`], and then the schema is as it was; those of [`Store::connect`].
    pub async fn connect_durably(url: DatabaseUrl, keys: Arc<ServerKeys>) -> Result<Self, StoreError> {
        Self::serving(&url, Connections::open(&url, Durability::Demanded).await?, keys).await
    }

    /// The settings of the database under which a commit can be lost after it was confirmed; `None` where none is.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn lossy_settings(&self) -> Result<Option<LossySettings>, StoreError> {
        durability::lossy_settings(self.inner.connections.writer()).await
    }

    /// Connects to a database that a control plane of this version made and uses. It creates no database and changes no
    /// schema.
    ///
    /// # Errors
    /// [`StoreError::UnfitDatabase`] when the database does not exist, or its schema is that of another version;
    /// [`StoreError::Unavailable`].
    pub async fn connect_existing(url: DatabaseUrl, keys: Arc<ServerKeys>) -> Result<Self, StoreError> {
        // A command claims nothing, and does not wait until the nonces are read.
        let nonces = url.nonces();
        Self::on(Connections::open_existing(&url).await?, nonces, keys).await
    }

    async fn serving(
        url: &DatabaseUrl,
        connections: Connections,
        keys: Arc<ServerKeys>,
    ) -> Result<Self, StoreError> {
        let nonces = url.nonces();
        nonces.prepare(connections.reader()).await?;
        Self::on(connections, nonces, keys).await
    }

    pub(crate) async fn on(
        connections: Connections,
        nonces: Nonces,
        keys: Arc<ServerKeys>,
    ) -> Result<Self, StoreError> {
        let revision = revision_rows::of_all(connections.reader()).await?;
        let groups = group_commit::GroupCommit::start(&connections)?;
        let inner = Arc::new(Inner {
            connections,
            keys,
            compiled: CompiledPolicies::new(),
            audit: audit::AuditWriter::new(),
            groups,
            nonces,
            link_notes: link_notes::LinkNotes::start(),
            in_force: in_force::AccountsInForce::default(),
            anchored: audit_anchors::Anchored::default(),
            exports: audit_export::Exports::default(),
            revisions: revisions::Revisions::at(revision),
            key_usage: key_usage::KeyUsage::default(),
            facts: deciding::KeptFacts::new(),
            holding: tokio::sync::Mutex::default(),
        });
        revisions::watch_other_replicas(&inner);
        Ok(Self { inner, held: None })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        let answers = StoreError::at("answer");
        // A statement without a table would not even open SQLite's file.
        let statement = "SELECT 1 FROM accounts LIMIT 1";
        self.inner.connections.reader().execute_unprepared(statement).await.map(drop).map_err(answers)
    }

    /// What the database's own clock says; `None` where it has none but this machine's.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        let connections = &self.inner.connections;
        let Some(asked) = connections.dialect().clock() else { return Ok(None) };
        let failed = || StoreError::at("say what its clock says");
        let row = connections.reader().query_one_raw(asked).await.map_err(failed())?;
        let millis: Option<i64> = row.map(|row| row.try_get_by_index(0)).transpose().map_err(failed())?;
        Ok(millis.map(Timestamp::from_millis))
    }

    /// Runs `work` in one transaction together with its audit rows and revision. The transaction is completed even if
    /// the caller stops waiting, as a server does when its client hangs up: a commit must not be left half done.
    ///
    /// A transaction that the database rolled back in favour of another one is started again, and `work` runs again with
    /// the same input.
    ///
    /// An audit row of another account than the one that is changed makes the whole transaction fail. So does another
    /// revision than those that the change was permitted under.
    async fn transact<T, W>(
        &self,
        permitted: impl Into<Permitted>,
        revision: Revision,
        audit: impl Into<AuditRows>,
        work: W,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a DatabaseTransaction) -> Work<'a, T> + Clone + Send + 'static,
    {
        let permitted = permitted.into();
        let events = audit.into().within(&permitted.account)?;
        self.run(permitted, revision, move |_, _| Ok(events.clone()), work).await
    }

    /// As [`Store::transact`], for changes whose audit rows are known only after `work` has run.
    async fn transact_telling<T, W>(
        &self,
        permitted: impl Into<Permitted>,
        revision: Revision,
        audit: impl Fn(&T) -> Vec<AuditEvent> + Send + Sync + 'static,
        work: W,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a DatabaseTransaction) -> Work<'a, T> + Clone + Send + 'static,
    {
        let events = move |made: &T, account: &AccountId| AuditRows::from(audit(made)).within(account);
        self.run(permitted.into(), revision, events, work).await
    }

    async fn run<T, W>(
        &self,
        permitted: Permitted,
        revision: Revision,
        audit: impl Fn(&T, &AccountId) -> Result<Vec<AuditEvent>, StoreError> + Send + Sync + 'static,
        work: W,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a DatabaseTransaction) -> Work<'a, T> + Clone + Send + 'static,
    {
        let (own, held) = (self.clone(), self.take_held().await);
        let running = tokio::spawn(async move {
            let (inner, permitted, audit) = (&own.inner, &permitted, &audit);
            if let Some(holding::HeldTransaction { transaction, turn }) = held {
                let change = inner.change_in(transaction, permitted, revision, audit, work);
                let made = inner.connections.write_begun(change).await;
                drop(turn);
                return made.map_err(|error| own.outdated_if_undone(error));
            }
            let once = move || inner.transact_once(permitted, revision, audit, work.clone());
            begun_anew(&inner.connections, once).await
        });
        to_its_end(running).await
    }
}

/// Waits for a task that goes on when nobody waits for it any more.
async fn to_its_end<T>(running: JoinHandle<Result<T, StoreError>>) -> Result<T, StoreError> {
    match running.await {
        Ok(result) => result,
        Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
        Err(_) => Err(StoreError::Stopping),
    }
}

impl Inner {
    async fn transact_once<T, W>(
        &self,
        permitted: &Permitted,
        revision: Revision,
        audit: &(impl Fn(&T, &AccountId) -> Result<Vec<AuditEvent>, StoreError> + Sync),
        work: W,
    ) -> Result<T, StoreError>
    where
        T: Send,
        W: for<'a> FnOnce(&'a DatabaseTransaction) -> Work<'a, T> + Send,
    {
        let change = |transaction| self.change_in(transaction, permitted, revision, audit, work);
        self.connections.write(change).await
    }

    async fn change_in<T, W>(
        &self,
        transaction: DatabaseTransaction,
        permitted: &Permitted,
        revision: Revision,
        audit: &(impl Fn(&T, &AccountId) -> Result<Vec<AuditEvent>, StoreError> + Sync),
        work: W,
    ) -> Result<T, StoreError>
    where
        T: Send,
        W: for<'a> FnOnce(&'a DatabaseTransaction) -> Work<'a, T> + Send,
    {
        let account = &permitted.account;
        self.take_revisions(&transaction, permitted, revision).await?;
        let made = work(&transaction).await?;
        if revision == Revision::BumpedOfNewAccount {
            revision_rows::bump(&transaction, account, Grows::Account).await?;
        }
        let events = audit(&made, account)?;
        if events.is_empty() {
            transaction.commit().await.map_err(StoreError::at(COMMIT))?;
        } else {
            self.audit.append_change_and_commit(&self.connections, transaction, &events).await?;
        }
        if revision != Revision::Kept {
            self.facts.forget(account);
            self.revisions.look_now();
        }
        Ok(made)
    }

    /// Which revision a change bumps. Replicas of the version before, which are being replaced beside this one, know the
    /// account's own alone, which covers instances too.
    async fn grows(
        &self,
        transaction: &DatabaseTransaction,
        revision: Revision,
    ) -> Result<Option<Grows>, StoreError> {
        match revision.grows() {
            Some(Grows::Instances) if replica_rows::any_before_instance_revisions(transaction).await? => {
                Ok(Some(Grows::Account))
            }
            grows => Ok(grows),
        }
    }

    /// Bumps a revision of the account, and holds those that the change was permitted under: until this transaction ends,
    /// nothing that permits it changes. Every transaction takes them first, and in the order of their accounts, so that no
    /// two wait for each other.
    async fn take_revisions(
        &self,
        transaction: &DatabaseTransaction,
        permitted: &Permitted,
        revision: Revision,
    ) -> Result<(), StoreError> {
        let mut accounts: BTreeMap<&AccountId, Option<Under>> =
            permitted.decided_under.iter().map(|(account, under)| (account, Some(under))).collect();
        let grows = self.grows(transaction, revision).await?;
        if grows.is_some() {
            accounts.entry(&permitted.account).or_default();
        }
        for (account, decided_under) in accounts {
            let standing = match grows.filter(|_| *account == permitted.account) {
                Some(grows) => {
                    let steps = revision_rows::bump(transaction, account, grows).await?;
                    if decided_under.is_none() {
                        continue;
                    }
                    // It is this transaction's own row by now.
                    let now = revision_rows::of_account(transaction, account).await?;
                    Revisions {
                        account: now.account - steps.account,
                        instances: now.instances - steps.instances,
                    }
                }
                None => revision_rows::of_account_held(transaction, account).await?,
            };
            if decided_under.is_some_and(|decided_under| !decided_under.holds_under(standing)) {
                self.facts.correct(account, standing);
                return Err(StoreError::Outdated);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("database", &self.inner.connections.dialect()).finish_non_exhaustive()
    }
}
