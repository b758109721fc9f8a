//! What is in force for the agents of an account, for the links that push it. A change concerns all of them at once: it is
//! read once for an account and not once for each of its agents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::AccountId;
use domain::actions::ReadsRecordConfig;
use domain::agent::Agent;
use domain::gate::Granted;
use domain::record_config::{EffectiveRecordConfig, InstanceSelector, RecordConfig};
use tokio::sync::Mutex as AsyncMutex;

use super::{Inner, Scope, Store};
use crate::StoreError;
use crate::rows::{agent_rows, record_config_rows, revision_rows};

/// What is in force for one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The number of its account, which grows with every change that agents have to hear of.
    pub revision: i64,
    /// The record configuration of its instance.
    pub config: EffectiveRecordConfig,
    /// Whether the agent was replaced or removed.
    pub is_retired: bool,
}

/// What was read of each account, the newest alone.
#[derive(Default)]
pub(super) struct AccountsInForce(Mutex<BTreeMap<AccountId, Slot>>);

/// Whoever reads an account has its slot meanwhile.
type Slot = Arc<AsyncMutex<Option<Arc<Account>>>>;

struct Account {
    /// What the watcher had seen before this was read: it is as new as that at least, until the watcher sees something else.
    seen: i64,
    revision: i64,
    configs: BTreeMap<String, RecordConfig>,
    agents: BTreeSet<String>,
}

impl AccountsInForce {
    /// Forgets what was read, because nobody has looked for changes since.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    // No change under the lock is left incomplete.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AccountId, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// What is in force for an agent of the grant's instance, as of the last change that subscribers to
    /// [`Store::subscribe_revisions`] were notified of, or a later one. The caller is one of them: it asks again when the
    /// next change is seen.
    ///
    /// # Errors
    /// [`StoreError::OutsideGrant`], [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn in_force<A: ReadsRecordConfig>(
        &self,
        granted: &Granted<A>,
        agent: &Agent,
    ) -> Result<InForce, StoreError> {
        let scope = Scope::of(granted);
        scope.admits("agent", &agent.account, &agent.instance)?;
        let account = self.inner.account_in_force(&scope.account).await?;
        let config = |selector: &str| account.configs.get(selector).cloned();
        let own = config(agent.instance.as_str());
        // An agent that was enrolled since was not among them.
        let is_retired = !account.agents.contains(agent.id.as_str())
            && match agent_rows::find(self.inner.connections.reader(), &agent.id).await? {
                Some(found) => found.retired.is_some(),
                None => true,
            };
        Ok(InForce {
            revision: account.revision,
            config: EffectiveRecordConfig::of(own, config(InstanceSelector::All.as_str())),
            is_retired,
        })
    }
}

impl Inner {
    async fn account_in_force(&self, account: &AccountId) -> Result<Arc<Account>, StoreError> {
        let slot = Arc::clone(self.in_force.lock().entry(account.clone()).or_default());
        // Whoever comes first reads; the others wait for that.
        let mut kept = slot.lock().await;
        let seen = self.revisions.seen();
        // Not also if it is greater: a database that was put back counts from where it was.
        if let Some(kept) = kept.as_ref().filter(|kept| kept.seen == seen) {
            return Ok(Arc::clone(kept));
        }
        let snapshot = self.connections.begin_snapshot().await?;
        let revision = revision_rows::of_account(&snapshot, account).await?.account;
        let configs = record_config_rows::of_account(&snapshot, account).await?;
        let agents = agent_rows::present_in(&snapshot, account).await?;
        snapshot.end().await?;
        let configs =
            configs.into_iter().map(|config| (config.selector.as_str().to_owned(), config)).collect();
        let read = Arc::new(Account { seen, revision, configs, agents });
        *kept = Some(Arc::clone(&read));
        Ok(read)
    }
}
