//! Lists: which rows the caller's policies admit, as conditions of a query (DECISIONS I4).
//!
//! The evaluator itself decides every case that the policies can distinguish, so that a list shows a row exactly when a
//! call about that row alone would be allowed. The cases are each instance, if the policies name instances or ask for
//! tags; and for its recordings, each owner, kind and range of ages that a condition can distinguish from others.

use std::collections::{BTreeMap, BTreeSet};

use policies::{Comparison, Context, Decision, KeyComparison, Request, ResourcePattern};
use recording::CaptureKind;

use super::{Denied, InstanceFacts, PrincipalPolicies, RequestFacts, Resource, Told};
use crate::actions::{CatalogueEntry, Product};
use crate::condition_keys::{
    self, CAPTURE_KIND, DAY_MILLIS, RECORDING_AGE, SELF, SESSION_OWNER, SessionOwner,
};
use crate::principal::Principal;
use crate::{AccountId, InstanceId, Region};

/// The most instances among which a list is searched for those that policies admit.
pub const MAX_LISTED_INSTANCES: usize = 10_000;

/// The most owners whose names a list compares with patterns.
pub const MAX_LISTED_OWNERS: usize = 300;

/// The most classes of recordings that a list tells apart, and that its query then names. Each takes a context of its
/// own in memory; and of a condition in SQL, SQLite reads no more than 1,000 levels.
pub const MAX_LISTED_CLASSES: usize = 400;

/// The most decisions that a list takes: each is some microseconds.
const MAX_DECISIONS: usize = 50_000;

/// What a list is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The instance that the caller names.
    pub of: Option<InstanceFacts>,
    /// The deployment's region.
    pub region: Region,
    /// Whether the rows are recordings, which have an owner, an age and a kind.
    pub recordings: bool,
    /// What [`list_needs`] asks for.
    pub candidates: Candidates,
}

/// The stored values of the rows of a list. One more than the limit means too many.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Candidates {
    /// Every instance of the account.
    pub instances: Vec<InstanceFacts>,
    /// Every owner of recordings of the account, or of the instance that the caller names.
    pub owners: Vec<SessionOwner>,
}

/// The values of the rows that the policies distinguish, which must be read before the policies are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListNeeds {
    /// The instances of the account.
    pub instances: bool,
    /// Their tags, too.
    pub tags: bool,
    /// The owners of recordings.
    pub owners: bool,
}

/// Which rows of a list may be shown, within the account and the instance of the grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListScope {
    /// All.
    All,
    /// Those that one of these admits; none when there is none.
    Some(Vec<Admitted>),
}

/// Rows that may be shown: of these instances those of these classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The instances; `None` is any.
    pub instances: Option<BTreeSet<InstanceId>>,
    /// The classes; `None` is any row.
    pub rows: Option<Vec<RowClass>>,
}

/// Recordings that policies do not distinguish. `None` is any.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowClass {
    /// Whose.
    pub owner: Option<OwnerClass>,
    /// Of which kind.
    pub kind: Option<CaptureKind>,
    /// From how many days of age to how many, both included; without an end where it has none.
    pub ages: Option<(i64, Option<i64>)>,
}

/// Owners that policies do not distinguish.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnerClass {
    /// No proven owner.
    Nobody,
    /// The owner with this ARN, who is the caller or is not.
    Named {
        /// The ARN as it is stored.
        arn: String,
        /// Whether it is the caller.
        own: bool,
    },
    /// Owners with other ARNs, who are the caller or are not.
    Others {
        /// The ARNs that are meant elsewhere.
        but: Vec<String>,
        /// Whether it is the caller.
        own: bool,
    },
}

/// Why a list cannot be searched by what its policies ask of the rows, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooWide {
    /// The policies distinguish more rows than are searched at once.
    #[error(
        "Your policies tell more rows of this list apart than are searched at once ({MAX_LISTED_INSTANCES} instances, \
         {MAX_LISTED_CLASSES} combinations of owner, kind and age, {MAX_DECISIONS} decisions); name one InstanceId, or \
         let the policies name fewer."
    )]
    Rows,
    /// Too many owners are compared with patterns.
    #[error(
        "Your policies compare {SESSION_OWNER} with patterns, and the recordings have more than {MAX_LISTED_OWNERS} \
         owners; name one InstanceId, or compare with StringEquals."
    )]
    Owners,
    /// Ages are compared with patterns.
    #[error(
        "Your policies compare {RECORDING_AGE} with patterns, which no list can be searched by; name one recording, or \
         compare with Numeric operators."
    )]
    Ages,
}

/// What has to be read of the rows before [`super::authorize`] can decide about the list.
#[must_use]
pub fn list_needs(
    entry: &CatalogueEntry,
    principal: &Principal,
    listing: &Listing,
    policies: &PrincipalPolicies,
) -> ListNeeds {
    if policies.0.owner {
        return ListNeeds::default();
    }
    let (action, range) = (entry.ram_action(), every_instance(principal.account()));
    let reach = policies::reach(&policies.0, &action, &range);
    let tags = reach.comparisons.iter().any(|found| condition_keys::is_about_a_tag(found.key));
    let unnamed = listing.of.is_none();
    ListNeeds {
        instances: unnamed && (reach.tells_apart || tags),
        tags: unnamed && tags,
        owners: listing.recordings && reach.comparisons.iter().any(needs_owners),
    }
}

/// Every instance of the account, wherever it is.
pub(super) fn every_instance(account: &AccountId) -> ResourcePattern {
    let text = format!("acs:{}:*:{account}:workbench/*", Product::Workbench.ram_code());
    ResourcePattern::parse(&text).expect("a well-formed ARN pattern")
}

fn is_about(found: &KeyComparison<'_>, key: &str) -> bool {
    found.key.eq_ignore_ascii_case(key)
}

/// Which names fit a pattern, or a name in any case, is seen from the names that there are.
fn needs_owners(found: &KeyComparison<'_>) -> bool {
    is_about(found, SESSION_OWNER) && matches!(found.comparison, Comparison::Pattern | Comparison::Folded)
}

/// Decides about a list: which rows it may show, and the statement that admits the first of them.
///
/// Where no row is admitted, and none could be, the denial is that of the list as a whole.
pub(super) fn admit(
    entry: &CatalogueEntry,
    principal: &Principal,
    listing: &Listing,
    policies: &PrincipalPolicies,
    facts: &RequestFacts,
) -> Result<(ListScope, String), Denied> {
    let whole = listing.of.clone().map_or(Resource::Everything, Resource::Instance);
    let (action, arn) = (entry.ram_action(), principal.policy_arn());
    let base = super::context(principal, &arn, &whole, facts);
    let decide = |resource: &str, context: &Context| {
        let request = Request { principal: &arn, action: &action, resource, context };
        match policies::evaluate(&policies.0, &request) {
            Decision::Allow { by } => Some(by),
            Decision::Deny(_) => None,
        }
    };
    if policies.0.owner {
        let by = super::ask_policies(entry, principal, &whole, policies, facts)?;
        return Ok((ListScope::All, by));
    }
    let too_wide = |why| Denied {
        product: entry.product,
        action: action.clone(),
        resource: whole.arn(principal.account()),
        principal: principal.clone(),
        explicit: false,
        policy_type: policies::PolicyType::AccountLevelIdentityBasedPolicy,
        by: Some("rule:list-too-wide".to_owned()),
        statement: None,
        context: super::shown(&base),
        unmet: Box::default(),
        told: Told::TooWide(why),
    };
    let range = every_instance(principal.account());
    let reach = policies::reach(&policies.0, &action, &range);
    let needs = list_needs(entry, principal, listing, policies);
    let classes = if listing.recordings {
        row_classes(&reach.comparisons, needs.owners, listing, principal).map_err(&too_wide)?
    } else {
        vec![RowClass { owner: None, kind: None, ages: None }]
    };
    let contexts: Vec<Context> = classes.iter().map(|class| class.context(&base)).collect();
    // If the policies do not distinguish instances, one instance stands for all.
    let stand_in = [listing.of.clone().unwrap_or_else(|| {
        let any = InstanceId::parse("i-any").expect("a well-formed instance id");
        InstanceFacts::untagged(listing.region.clone(), any)
    })];
    let instances = if needs.instances { listing.candidates.instances.as_slice() } else { &stand_in };
    if instances.len() > MAX_LISTED_INSTANCES || instances.len() * classes.len() > MAX_DECISIONS {
        return Err(too_wide(TooWide::Rows));
    }
    let mut by = None;
    let mut groups: BTreeMap<Vec<bool>, BTreeSet<InstanceId>> = BTreeMap::new();
    for of in instances {
        let name = of.arn(principal.account());
        let admitted: Vec<bool> = contexts
            .iter()
            .map(|context| {
                let found = if needs.tags {
                    let mut context = context.clone();
                    condition_keys::insert_tags(&mut context, &of.tags);
                    decide(&name, &context)
                } else {
                    decide(&name, context)
                };
                let is_admitted = found.is_some();
                // Only the first is named, of what may be thousands.
                if by.is_none() {
                    by = found.map(|by| by.to_string());
                }
                is_admitted
            })
            .collect();
        if admitted.contains(&true) {
            groups.entry(admitted).or_default().insert(of.instance.clone());
        }
    }
    let Some(by) = by else {
        // The list is empty for callers who could see some row of it, if one existed.
        let name = whole.arn(principal.account());
        let possible = contexts.iter().find_map(|context| decide(&name, context));
        return match possible.or_else(|| decide(&name, &base)) {
            Some(by) => Ok((ListScope::Some(Vec::new()), by.to_string())),
            None => super::ask_policies(entry, principal, &whole, policies, facts)
                .map(|by| (ListScope::Some(Vec::new()), by)),
        };
    };
    let admitted: Vec<Admitted> = groups
        .into_iter()
        .map(|(admitted, names)| Admitted {
            instances: needs.instances.then_some(names),
            rows: together(&classes, &admitted),
        })
        .collect();
    let named: usize = admitted.iter().map(|one| one.rows.as_ref().map_or(1, Vec::len)).sum();
    if named > MAX_LISTED_CLASSES {
        return Err(too_wide(TooWide::Rows));
    }
    let all = admitted.iter().any(|one| one.instances.is_none() && one.rows.is_none());
    Ok((if all { ListScope::All } else { ListScope::Some(admitted) }, by))
}

/// The recordings that these comparisons can tell apart: every combination of owner, kind and span of ages.
fn row_classes(
    comparisons: &[KeyComparison<'_>],
    by_stored_owner: bool,
    listing: &Listing,
    caller: &Principal,
) -> Result<Vec<RowClass>, TooWide> {
    let about = |key| comparisons.iter().filter(move |found| is_about(found, key));
    let owners: Vec<Option<OwnerClass>> = if about(SESSION_OWNER).next().is_none() {
        vec![None]
    } else if by_stored_owner {
        stored_owners(&listing.candidates.owners, caller)?.into_iter().map(Some).collect()
    } else {
        named_owners(about(SESSION_OWNER))?.into_iter().map(Some).collect()
    };
    let kinds: Vec<Option<CaptureKind>> =
        if about(CAPTURE_KIND).next().is_none() { vec![None] } else { CaptureKind::ALL.map(Some).to_vec() };
    let ages = spans_of_ages(about(RECORDING_AGE))?;
    if owners.len().saturating_mul(kinds.len()).saturating_mul(ages.len()) > MAX_LISTED_CLASSES {
        return Err(TooWide::Rows);
    }
    let mut classes = Vec::new();
    for owner in &owners {
        for kind in &kinds {
            for span in &ages {
                classes.push(RowClass { owner: owner.clone(), kind: *kind, ages: *span });
            }
        }
    }
    Ok(classes)
}

/// Owners by the names that policies spell out; all others are decided alike.
fn named_owners<'a>(
    comparisons: impl Iterator<Item = &'a KeyComparison<'a>>,
) -> Result<Vec<OwnerClass>, TooWide> {
    let exact = comparisons.filter(|found| found.comparison == Comparison::Exact);
    let names: BTreeSet<String> =
        exact.flat_map(|found| found.values).map(ToString::to_string).filter(|name| name != SELF).collect();
    if names.len() > MAX_LISTED_CLASSES / 2 {
        return Err(TooWide::Rows);
    }
    let mut classes = vec![OwnerClass::Nobody];
    for own in [true, false] {
        classes.extend(names.iter().map(|arn| OwnerClass::Named { arn: arn.clone(), own }));
        classes.push(OwnerClass::Others { but: names.iter().cloned().collect(), own });
    }
    Ok(classes)
}

/// Owners one by one, and the caller, who may yet own something.
fn stored_owners(stored: &[SessionOwner], caller: &Principal) -> Result<Vec<OwnerClass>, TooWide> {
    if stored.len() > MAX_LISTED_OWNERS {
        return Err(TooWide::Owners);
    }
    let caller = SessionOwner::of(caller);
    let own = |owner: &SessionOwner| caller.as_ref().is_some_and(|caller| caller.id == owner.id);
    let named = stored
        .iter()
        .chain(&caller)
        .map(|owner| OwnerClass::Named { arn: owner.arn.clone(), own: own(owner) });
    let named: BTreeSet<OwnerClass> = named.collect();
    Ok([OwnerClass::Nobody].into_iter().chain(named).collect())
}

/// From, and up to, how many days of age.
type Ages = Option<(i64, Option<i64>)>;

/// The spans of whole days that these comparisons cannot tell apart within.
fn spans_of_ages<'a>(comparisons: impl Iterator<Item = &'a KeyComparison<'a>>) -> Result<Vec<Ages>, TooWide> {
    let mut beginnings = BTreeSet::from([0]);
    let mut compared = false;
    for found in comparisons {
        compared = true;
        match found.comparison {
            Comparison::Number | Comparison::Exact | Comparison::Folded => {
                beginnings.extend(found.values.iter().flat_map(|value| changes_at(value)));
            }
            // No number is a date, a Boolean or an address, so that all ages are decided alike.
            Comparison::Other => {}
            Comparison::Pattern => return Err(TooWide::Ages),
        }
    }
    if !compared {
        return Ok(vec![None]);
    }
    let ends = beginnings.iter().skip(1).map(|next| Some(next - 1)).chain([None]);
    Ok(beginnings.iter().copied().zip(ends).map(Some).collect())
}

/// The whole numbers, from 1, at which a comparison with this decimal number may come out otherwise than with the
/// number before. A text that is no number equals no age.
fn changes_at(decimal: &str) -> impl Iterator<Item = i64> {
    /// No recording is older: times are milliseconds in 64 bits.
    const OLDEST: i64 = i64::MAX / DAY_MILLIS;
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let exact = fraction.bytes().all(|digit| digit == b'0');
    // A number too large to read lies beyond every age, one below zero before every.
    let whole = whole.parse::<i64>().ok().filter(|whole| (0..=OLDEST).contains(whole));
    let negative = decimal.starts_with('-');
    let whole = whole.filter(|_| !negative || exact);
    let at = whole.filter(|whole| exact && *whole > 0);
    [at, whole.map(|whole| whole + 1)].into_iter().flatten()
}

impl RowClass {
    /// The keys of a recording of this class.
    fn context(&self, base: &Context) -> Context {
        let mut context = base.clone();
        match &self.owner {
            None | Some(OwnerClass::Nobody) => {}
            Some(OwnerClass::Named { arn, own }) => condition_keys::insert_owner(&mut context, arn, *own),
            Some(OwnerClass::Others { but, own }) => {
                // Longer than all of them, so it is none of them.
                let length = but.iter().map(String::len).max().unwrap_or(0);
                condition_keys::insert_owner(&mut context, &"x".repeat(length + SELF.len() + 1), *own);
            }
        }
        if let Some((from, _)) = self.ages {
            condition_keys::insert_age(&mut context, from);
        }
        if let Some(kind) = self.kind {
            condition_keys::insert_kind(&mut context, kind);
        }
        context
    }
}

/// The admitted classes, with spans that meet as one; `None` when all are admitted.
fn together(classes: &[RowClass], admitted: &[bool]) -> Option<Vec<RowClass>> {
    if !admitted.contains(&false) {
        return None;
    }
    let mut together: Vec<RowClass> = Vec::new();
    // The spans of one owner and kind stand one behind the other.
    for (class, _) in classes.iter().zip(admitted).filter(|(_, admitted)| **admitted) {
        let meets = together.last_mut().filter(|last| last.owner == class.owner && last.kind == class.kind);
        match (meets, class.ages) {
            (Some(RowClass { ages: Some((_, to @ Some(_))), .. }), Some((from, until)))
                if *to == Some(from - 1) =>
            {
                *to = until;
            }
            _ => together.push(class.clone()),
        }
    }
    for class in &mut together {
        class.ages = class.ages.filter(|ages| *ages != (0, None));
    }
    Some(together)
}

#[cfg(test)]
mod tests;
