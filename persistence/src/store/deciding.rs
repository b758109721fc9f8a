//! The facts that a call is decided by, kept in memory for as long as their account's revision stays the same.
//!
//! INVARIANT: every row that is kept here is only ever changed together with a revision of its account, in one
//! transaction, and is read after it: instances and tags with either of both, everything else with the account's own. What was decided from these facts is then tried in the transaction that
//! writes the call down ([`Store::settle`](super::Store::settle)) or changes something: it holds only if the revisions
//! are still the ones that are noted here. So nothing is trusted for the time that passed since it was read, and a replica
//! that lags behind decides once more, but never wrongly (DECISIONS I5).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use domain::AccountId;
use domain::access_key::AccessKey;
use domain::actions::ReadsRecordConfig;
use domain::decided_under::{DecidedUnder, Revisions, Under};
use domain::gate::{Candidates, Granted, InstanceFacts, ListNeeds, MAX_LISTED_OWNERS, PrincipalPolicies};
use domain::identity::{AccessKeyId, Role, UserId};
use domain::principal::Principal;
use domain::record_config::{EffectiveRecordConfig, InstanceSelector};
use domain::role::RoleArn;
use domain::{InstanceId, Region};
use policies::{Layers, PolicySet};

use super::{Scope, Store};
use crate::StoreError;
use crate::generations::{Kept, lock};
use crate::rows::{recording_list_rows, revision_rows};

/// How many bytes of memory each kind of fact takes at most.
const KEPT_BYTES: usize = 16 * 1024 * 1024;
/// How many accounts' revisions are remembered. A caller can name any account in the ARN of a role.
const MOST_ACCOUNTS: usize = 10_000;
/// How many facts of one kind can be read at once.
const LOADING: usize = 16;
/// About what strings on the heap take beside the value that holds them.
const STRINGS: usize = 256;

/// What all calls share.
pub(super) struct KeptFacts {
    /// The last revisions of each account that this store has read. They may have changed since.
    revisions: Mutex<HashMap<AccountId, Revisions>>,
    keys: Facts<AccessKeyId, Arc<AccessKey>>,
    policies: Facts<Bearer, PrincipalPolicies>,
    instances: Facts<(AccountId, InstanceId), InstanceFacts>,
    configurations: Facts<(AccountId, InstanceSelector), Arc<EffectiveRecordConfig>>,
    of_lists: Facts<(AccountId, bool), Arc<Vec<InstanceFacts>>>,
}

/// Whom policies are attached to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Bearer {
    User(AccountId, UserId),
    /// A session narrows its role's policies in its own way, and ends.
    Session(AccountId, AccessKeyId),
}

/// Facts of one kind, each with the revisions that were read before it.
struct Facts<Key, Fact> {
    /// Whether they are instances, or come from them.
    of_instances: bool,
    kept: Mutex<Kept<Key, (Under, Fact)>>,
    /// Many calls that miss the same fact wait for one of them to read it.
    loading: [tokio::sync::Mutex<()>; LOADING],
}

impl<Key: Hash + Eq + Clone, Fact: Clone> Facts<Key, Fact> {
    fn new() -> Self {
        Self { of_instances: false, kept: Mutex::new(Kept::within(KEPT_BYTES)), loading: Default::default() }
    }

    fn of_instances() -> Self {
        Self { of_instances: true, ..Self::new() }
    }

    /// What of these revisions a fact of this kind is read under.
    fn under(&self, revisions: Revisions) -> Under {
        Under { account: revisions.account, instances: self.of_instances.then_some(revisions.instances) }
    }

    fn any(&self, key: &Key) -> Option<(Under, Fact)> {
        lock(&self.kept).get(key)
    }

    fn at(&self, under: Under, key: &Key) -> Option<Fact> {
        self.any(key).filter(|(read_under, _)| *read_under == under).map(|(_, fact)| fact)
    }

    fn keep(&self, key: Key, under: Under, fact: Fact, bytes: usize) {
        let discarded = lock(&self.kept).replace(key, (under, fact), bytes);
        // Without the lock.
        drop(discarded);
    }

    async fn turn_to_load(&self, key: &Key) -> tokio::sync::MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        self.loading[hasher.finish() as usize % LOADING].lock().await
    }
}

impl KeptFacts {
    pub(super) fn new() -> Self {
        Self {
            revisions: Mutex::default(),
            keys: Facts::new(),
            policies: Facts::new(),
            instances: Facts::of_instances(),
            configurations: Facts::new(),
            of_lists: Facts::of_instances(),
        }
    }

    // A map of numbers is consistent at any time, so that poisoning is ignored.
    fn revisions(&self) -> std::sync::MutexGuard<'_, HashMap<AccountId, Revisions>> {
        self.revisions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the revisions that a transaction has read.
    pub(super) fn correct(&self, account: &AccountId, revisions: Revisions) {
        self.revisions().insert(account.clone(), revisions);
    }

    /// Takes in that the account was changed through this store.
    pub(super) fn forget(&self, account: &AccountId) {
        self.revisions().remove(account);
    }
}

/// Reads the facts that one call is decided by, and notes the revisions under which they were read.
pub struct Deciding<'s> {
    store: &'s Store,
    under: Mutex<DecidedUnder>,
}

impl Store {
    /// For a call that is to be decided.
    #[must_use]
    pub fn deciding(&self) -> Deciding<'_> {
        Deciding { store: self, under: Mutex::default() }
    }
}

impl Deciding<'_> {
    /// The revisions under which everything was read so far.
    #[must_use]
    pub fn under(&self) -> DecidedUnder {
        self.noted().clone()
    }

    fn noted(&self) -> std::sync::MutexGuard<'_, DecidedUnder> {
        // What is noted is complete at any time, so that poisoning is ignored.
        self.under.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, account: &AccountId, under: Under) {
        self.noted().add(account, under);
    }

    fn facts(&self) -> &KeptFacts {
        &self.store.inner.facts
    }

    /// Revisions of the account that were current at some moment before now.
    async fn revisions(&self, account: &AccountId) -> Result<Revisions, StoreError> {
        let known = self.facts().revisions().get(account).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let read = revision_rows::of_account(self.store.inner.connections.reader(), account).await?;
        let mut revisions = self.facts().revisions();
        if revisions.len() >= MOST_ACCOUNTS {
            revisions.clear();
        }
        // Another call may have read a later one meanwhile.
        Ok(*revisions.entry(account.clone()).or_insert(read))
    }

    /// Whether the account's revisions are still those under which this call has read its facts. A refusal that commits
    /// nothing asks this first, so that nobody is refused for what is no longer so.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn still_holds(&self, account: &AccountId) -> Result<bool, StoreError> {
        let read = revision_rows::of_account(self.store.inner.connections.reader(), account).await?;
        self.facts().correct(account, read);
        let noted = self.noted().iter().find(|(noted, _)| *noted == account).map(|(_, under)| under);
        Ok(noted.is_none_or(|noted| noted.holds_under(read)))
    }

    /// Forgets what was noted: everything is read once more.
    pub fn begin_again(&self) {
        *self.noted() = DecidedUnder::default();
    }

    /// A fact of the account: as it is kept, or as it is `read`, with about how many bytes it takes.
    async fn fact<Key, Fact>(
        &self,
        facts: &Facts<Key, Fact>,
        account: &AccountId,
        key: Key,
        read: impl AsyncFnOnce() -> Result<(Fact, usize), StoreError>,
    ) -> Result<Fact, StoreError>
    where
        Key: Hash + Eq + Clone,
        Fact: Clone,
    {
        let known = self.facts().revisions().get(account).copied();
        if let Some(under) = known.map(|known| facts.under(known))
            && let Some(fact) = facts.at(under, &key)
        {
            self.note(account, under);
            return Ok(fact);
        }
        let _turn = facts.turn_to_load(&key).await;
        let under = facts.under(self.revisions(account).await?);
        self.note(account, under);
        if let Some(fact) = facts.at(under, &key) {
            return Ok(fact);
        }
        let (fact, bytes) = read().await?;
        facts.keep(key, under, fact.clone(), bytes);
        Ok(fact)
    }

    /// As [`Store::find_access_key`]. A key that is not there is looked for each time.
    ///
    /// # Errors
    /// Those of [`Store::find_access_key`].
    pub async fn find_access_key(&self, id: &AccessKeyId) -> Result<Option<Arc<AccessKey>>, StoreError> {
        let keys = &self.facts().keys;
        let mut account = match keys.any(id) {
            Some((_, key)) => key.principal.account().clone(),
            None => match self.store.find_access_key(id).await? {
                Some(key) => key.principal.account().clone(),
                None => return Ok(None),
            },
        };
        // An id that is deleted in one account can be preset in another one.
        loop {
            let known = self.facts().revisions().get(&account).copied();
            if let Some(under) = known.map(|known| keys.under(known))
                && let Some(key) = keys.at(under, id)
                && *key.principal.account() == account
            {
                self.note(&account, under);
                return Ok(Some(key));
            }
            let _turn = keys.turn_to_load(id).await;
            let under = keys.under(self.revisions(&account).await?);
            if let Some(key) = keys.at(under, id)
                && *key.principal.account() == account
            {
                self.note(&account, under);
                return Ok(Some(key));
            }
            let Some(key) = self.store.find_access_key(id).await?.map(Arc::new) else { return Ok(None) };
            if *key.principal.account() == account {
                self.note(&account, under);
                keys.keep(id.clone(), under, key.clone(), size_of::<AccessKey>() + STRINGS);
                return Ok(Some(key));
            }
            account = key.principal.account().clone();
        }
    }

    /// As [`Store::policies_of`].
    ///
    /// # Errors
    /// Those of [`Store::policies_of`].
    pub async fn policies_of(&self, principal: &Principal) -> Result<PrincipalPolicies, StoreError> {
        let bearer = match principal {
            Principal::User { account, user_id, .. } => Bearer::User(account.clone(), user_id.clone()),
            Principal::AssumedRole { account, session_key, .. } => {
                Bearer::Session(account.clone(), session_key.clone())
            }
            // These are decided by fixed rules, and read nothing.
            Principal::Account { .. }
            | Principal::Agent { .. }
            | Principal::System { .. }
            | Principal::Operator { .. } => return self.store.policies_of(principal).await,
        };
        self.fact(&self.facts().policies, principal.account(), bearer, async || {
            let policies = self.store.policies_of(principal).await?;
            let bytes = memory(policies.layers());
            Ok((policies, bytes))
        })
        .await
    }

    /// As [`Store::instance_facts`].
    ///
    /// # Errors
    /// Those of [`Store::instance_facts`].
    pub async fn instance_facts(
        &self,
        account: &AccountId,
        instance: InstanceId,
        elsewhere: &Region,
    ) -> Result<InstanceFacts, StoreError> {
        let key = (account.clone(), instance.clone());
        self.fact(&self.facts().instances, account, key, async || {
            let facts = self.store.instance_facts(account, instance, elsewhere).await?;
            let bytes = memory_of_instance(&facts);
            Ok((facts, bytes))
        })
        .await
    }

    /// As [`Store::candidates_of_list`]. Owners are read each time: recordings come without another revision.
    ///
    /// # Errors
    /// Those of [`Store::candidates_of_list`].
    pub async fn candidates_of_list(
        &self,
        account: &AccountId,
        of: Option<&InstanceId>,
        needs: ListNeeds,
    ) -> Result<Candidates, StoreError> {
        let mut candidates = Candidates::default();
        if needs.instances {
            let instances =
                self.fact(&self.facts().of_lists, account, (account.clone(), needs.tags), async || {
                    let only = ListNeeds { owners: false, ..needs };
                    let read = self.store.candidates_of_list(account, of, only).await?.instances;
                    let bytes = read.iter().map(memory_of_instance).sum();
                    Ok((Arc::new(read), bytes))
                });
            candidates.instances = instances.await?.to_vec();
        }
        if needs.owners {
            let reader = self.store.inner.connections.reader();
            candidates.owners =
                recording_list_rows::owners(reader, account, of, MAX_LISTED_OWNERS as u64 + 1).await?;
        }
        Ok(candidates)
    }

    /// As [`Store::effective_record_config`].
    ///
    /// # Errors
    /// Those of [`Store::effective_record_config`].
    pub async fn effective_record_config<A: ReadsRecordConfig>(
        &self,
        granted: &Granted<A>,
        selector: &InstanceSelector,
    ) -> Result<Arc<EffectiveRecordConfig>, StoreError> {
        // Asked here too, because what is kept knows of no grant.
        Scope::of(granted).admits_selector(selector)?;
        let account = granted.account();
        let key = (account.clone(), selector.clone());
        self.fact(&self.facts().configurations, account, key, async || {
            let effective = self.store.effective_record_config(granted, selector).await?;
            Ok((Arc::new(effective), size_of::<EffectiveRecordConfig>() + 4 * STRINGS))
        })
        .await
    }

    /// As [`Store::find_assumable_role`], which is read each time: the account is the one that the caller names.
    ///
    /// # Errors
    /// Those of [`Store::find_assumable_role`].
    pub async fn find_assumable_role(&self, arn: &RoleArn) -> Result<Option<(Role, PolicySet)>, StoreError> {
        let revisions = self.revisions(&arn.account).await?;
        self.note(&arn.account, Under { account: revisions.account, instances: None });
        self.store.find_assumable_role(arn).await
    }
}

/// About how many bytes the layers take. Their documents may be shared with other bearers'.
fn memory(layers: &Layers) -> usize {
    let Layers { owner: _, control, session, identity, trust } = layers;
    let sets = control.iter().chain(session).chain([identity]).chain(trust);
    let of_set = |set: &PolicySet| {
        let documents = set.policies().iter().map(|(name, document)| name.len() + document.memory());
        set.memory() + documents.sum::<usize>()
    };
    size_of::<Layers>() + sets.map(of_set).sum::<usize>()
}

fn memory_of_instance(facts: &InstanceFacts) -> usize {
    size_of::<InstanceFacts>() + STRINGS * (1 + facts.tags.iter().count())
}
