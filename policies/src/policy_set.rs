//! The pooled policies of one layer, with an index by service.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::decision::{Layer, StatementId};
use crate::document::PolicyDocument;
use crate::memory::{Held, flat};
use crate::statement::{Effect, ParsedRequest, Statement};

use crate::conditions::{ConditionError, Verdict};

/// The named policies of one layer. They are pooled: only their statements matter, in no particular order.
///
/// Building a set indexes its statements by service, so that statements about other services cost nothing in a
/// decision. Keep a set for as long as the principal's policies stay the same. A clone shares the same data and costs
/// nothing.
#[derive(Clone, Debug, Default)]
pub struct PolicySet(Arc<Pooled>);

#[derive(Debug, Default)]
struct Pooled {
    policies: Vec<(Arc<str>, Arc<PolicyDocument>)>,
    denies: ByService,
    allows: ByService,
}

/// The location of a statement: index of the policy in the set, index of the statement in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    policy: usize,
    statement: usize,
}

/// The answer of a layer on its own.
#[derive(Debug)]
pub(crate) enum Step {
    Deny(StatementId),
    UnreadableDeny(StatementId, ConditionError),
    Allow(StatementId),
    Nothing,
}

impl PolicySet {
    /// Pools named policies. Decisions state the names; they need not be unique.
    #[must_use]
    pub fn new(policies: Vec<(Arc<str>, Arc<PolicyDocument>)>) -> Self {
        Self(Arc::new(Pooled {
            denies: ByService::of(&policies, Effect::Deny),
            allows: ByService::of(&policies, Effect::Allow),
            policies,
        }))
    }

    /// The policies of the set.
    #[must_use]
    pub fn policies(&self) -> &[(Arc<str>, Arc<PolicyDocument>)] {
        &self.0.policies
    }

    /// The approximate number of bytes of memory that the set takes, without its documents.
    #[must_use]
    pub fn memory(&self) -> usize {
        let Pooled { policies, denies, allows } = &*self.0;
        size_of::<Pooled>() + size_of_val(&**policies) + denies.held() + allows.held()
    }

    /// Evaluates every statement that can be about the action.
    ///
    /// | a Deny fits | a Deny cannot be read | an Allow fits | the layer says |
    /// |-------------|-----------------------|---------------|----------------|
    /// | yes         | any                   | any           | Deny           |
    /// | no          | yes                   | any           | UnreadableDeny |
    /// | no          | no                    | yes           | Allow          |
    /// | no          | no                    | no            | Nothing        |
    ///
    /// An Allow whose condition cannot be read counts as not fitting. If several statements fit, the first statement
    /// of the first policy is named.
    pub(crate) fn ask(&self, layer: Layer, parsed: &ParsedRequest<'_>) -> Step {
        let service = parsed.action.map(|action| action.service);
        let mut unreadable = None;
        for place in self.0.denies.about(service) {
            match self.statement(place).applies(parsed) {
                Verdict::Holds => return Step::Deny(self.id(layer, place)),
                Verdict::Unreadable(test) => unreadable = unreadable.or(Some((place, test))),
                Verdict::Fails => {}
            }
        }
        if let Some((place, test)) = unreadable {
            return Step::UnreadableDeny(self.id(layer, place), test.error());
        }
        for place in self.0.allows.about(service) {
            if let Verdict::Holds = self.statement(place).applies(parsed) {
                return Step::Allow(self.id(layer, place));
            }
        }
        Step::Nothing
    }

    /// The first Deny statement about the service for which `is_it` is true.
    pub(crate) fn find_deny(
        &self,
        layer: Layer,
        service: Option<&str>,
        is_it: impl Fn(&Statement) -> bool,
    ) -> Option<StatementId> {
        self.0
            .denies
            .about(service)
            .find(|place| is_it(self.statement(*place)))
            .map(|place| self.id(layer, place))
    }

    fn statement(&self, place: Place) -> &Statement {
        &self.0.policies[place.policy].1.statements[place.statement]
    }

    fn id(&self, layer: Layer, place: Place) -> StatementId {
        StatementId {
            layer,
            policy: Arc::clone(&self.0.policies[place.policy].0),
            statement: place.statement,
        }
    }
}

/// The statements of one effect, indexed by the service that their actions name.
#[derive(Clone, Debug, Default)]
struct ByService {
    /// Sorted by service, in lower case.
    services: Vec<(Box<str>, Vec<Place>)>,
    /// Statements with `*`, a wildcard in the service, or NotAction.
    any_service: Vec<Place>,
}

impl Held for ByService {
    fn held(&self) -> usize {
        let places = self.services.iter().map(|(service, places)| service.held() + flat(places));
        flat(&self.services) + flat(&self.any_service) + places.sum::<usize>()
    }
}

impl ByService {
    fn of(policies: &[(Arc<str>, Arc<PolicyDocument>)], effect: Effect) -> Self {
        let mut index = Self::default();
        for (policy, (_, document)) in policies.iter().enumerate() {
            for (number, statement) in document.statements.iter().enumerate() {
                let place = Place { policy, statement: number };
                if statement.effect != effect {
                    continue;
                }
                match statement.actions.services() {
                    None => index.any_service.push(place),
                    Some(services) => services.into_iter().for_each(|service| index.add(service, place)),
                }
            }
        }
        // Sets are kept for a long time.
        index.services.iter_mut().for_each(|(_, places)| places.shrink_to_fit());
        index.services.shrink_to_fit();
        index.any_service.shrink_to_fit();
        index
    }

    fn add(&mut self, service: &str, place: Place) {
        match self.services.binary_search_by(|(present, _)| (**present).cmp(service)) {
            Ok(at) => {
                let places = &mut self.services[at].1;
                // A statement may name a service twice.
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
            Err(at) => self.services.insert(at, (service.into(), vec![place])),
        }
    }

    /// The statements that can be about the service, in the order of the set.
    fn about(&self, service: Option<&str>) -> impl Iterator<Item = Place> {
        let named: &[Place] = service
            .and_then(|service| {
                self.services.binary_search_by(|(present, _)| compare_folded(present, service)).ok()
            })
            .map_or(&[], |at| &self.services[at].1);
        let (mut named, mut any) =
            (named.iter().copied().peekable(), self.any_service.iter().copied().peekable());
        std::iter::from_fn(move || match (named.peek(), any.peek()) {
            (Some(left), Some(right)) if left < right => named.next(),
            (_, Some(_)) => any.next(),
            (_, None) => named.next(),
        })
    }
}

/// Compares with a service name that is in lower case already.
fn compare_folded(lower: &str, service: &str) -> Ordering {
    lower.bytes().cmp(service.bytes().map(|byte| byte.to_ascii_lowercase()))
}
