//! What one set of policies allows and another does not. Each difference comes with a request that shows it.
//!
//! All strings fall into finitely many classes that no pattern of either side can tell apart. `regions` finds the
//! classes of one text, `classes` combines them into classes of actions, resources and principals, `contexts` finds
//! those of contexts, and one request of each class is decided for both sides. The answer is therefore exact with
//! respect to actions and resource patterns. With respect to conditions it is a bound: each key is assumed to be
//! independent of the others and of the resource, and to have one value.

mod classes;
mod contexts;
mod regions;
mod text;

use std::collections::HashMap;

use serde::Serialize;

use crate::context::Context;
use crate::decision::{DenyReason, Layer, StatementId};
use crate::evaluate::Request;
use crate::policy_set::{PolicySet, Step};
use crate::statement::{DocumentKind, Effect, Statement};
use crate::vocabulary::Vocabulary;

use classes::RequestClass;
use regions::{Bits, Budget, TooLarge};

/// The maximum number of steps of one comparison; beyond it the answer is [`Verdict::Unknown`]. A step is about one
/// word of a bit set, so the bound takes a fraction of a second.
pub const MAX_DIFFERENCE_STEPS: usize = 10_000_000;

/// The maximum number of differences that are listed for each direction.
pub const MAX_LISTED_GAPS: usize = 50;

/// What two sets of policies, `a` and `b`, allow differently. `Display` formats it as plain text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What `b` allows that `a` does not.
    pub only_b: Direction,
    /// What `a` allows that `b` does not.
    pub only_a: Direction,
}

/// What one side allows that the other does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Direction {
    /// The short answer.
    pub verdict: Verdict,
    /// The differences, one for each pair of a statement that allows and a reason why the other side does not.
    pub gaps: Vec<Gap>,
    /// The respects in which the answer is only a bound; empty if it is exact.
    pub bounds: Vec<String>,
}

/// Whether one side allows something that the other does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// It does not.
    Nothing,
    /// It does; each gap has a request that shows it.
    Something,
    /// The comparison exceeded [`MAX_DIFFERENCE_STEPS`]. The gaps found before that are listed and valid.
    Unknown {
        /// What grew too large.
        why: String,
    },
}

/// A difference, shown by one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The statement that allows the request on one side.
    pub allowed_by: StatementId,
    /// Why the other side does not.
    pub refused: DenyReason,
    /// The request that shows it.
    pub witness: Witness,
    /// The condition keys on which the difference depends; empty if it exists in every context.
    pub depends_on: Vec<String>,
}

/// A request. [`Witness::context`] and the fields make a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// ARN of the principal.
    pub principal: String,
    /// The action.
    pub action: String,
    /// The resource.
    pub resource: String,
    /// The condition keys that are set, with their values; all others are absent.
    pub condition_keys: Vec<(String, String)>,
}

impl Witness {
    /// The context of the request.
    #[must_use]
    pub fn context(&self) -> Context {
        let mut context = Context::new();
        for (key, value) in &self.condition_keys {
            context.insert(key, &**value);
        }
        context
    }

    /// The request in this context.
    #[must_use]
    pub fn request<'a>(&'a self, context: &'a Context) -> Request<'a> {
        Request { principal: &self.principal, action: &self.action, resource: &self.resource, context }
    }
}

/// Compares two sets of policies of one layer. Actions of `vocabulary` are preferred in witnesses. A key that,
/// according to `vocabulary`, every request carries is never assumed to be absent.
#[must_use]
pub fn diff(a: &PolicySet, b: &PolicySet, vocabulary: &Vocabulary) -> Difference {
    let mut budget = Budget::new(MAX_DIFFERENCE_STEPS);
    let mut comparison = Comparison::new(a, b, vocabulary);
    let outcome = comparison.run(&mut budget);
    let unknown = outcome.err().map(|TooLarge(what)| what);
    let [only_a, only_b] = comparison.found.map(|found| found.into_direction(unknown));
    Difference { only_b, only_a }
}

/// The layer in which a set is evaluated on its own.
fn layer_of(set: &PolicySet) -> Option<Layer> {
    set.policies().first().map(|(_, document)| match document.kind() {
        DocumentKind::Identity => Layer::Identity,
        DocumentKind::Session => Layer::Session,
        DocumentKind::Control => Layer::Control,
        DocumentKind::Trust => Layer::Trust,
    })
}

/// The statements of both sides in one list; the bit sets hold indices into it.
struct Comparison<'a> {
    sets: [&'a PolicySet; 2],
    layer: Layer,
    statements: Vec<(usize, &'a Statement)>,
    vocabulary: &'a Vocabulary,
    /// What only the first side allows, and what only the second side allows.
    found: [Found; 2],
}

#[derive(Default)]
struct Found {
    gaps: Vec<Gap>,
    places: HashMap<(StatementId, DenyReason), usize>,
    bounds: Vec<String>,
    more: bool,
}

impl<'a> Comparison<'a> {
    fn new(a: &'a PolicySet, b: &'a PolicySet, vocabulary: &'a Vocabulary) -> Self {
        let of = |side: usize, set: &'a PolicySet| {
            set.policies().iter().flat_map(move |(_, document)| {
                document.statements.iter().map(move |statement| (side, statement))
            })
        };
        Self {
            sets: [a, b],
            layer: layer_of(a).or_else(|| layer_of(b)).unwrap_or(Layer::Identity),
            statements: of(0, a).chain(of(1, b)).collect(),
            vocabulary,
            found: Default::default(),
        }
    }

    fn run(&mut self, budget: &mut Budget) -> Result<(), TooLarge> {
        let statements: Vec<&Statement> = self.statements.iter().map(|(_, statement)| *statement).collect();
        for (active, class) in classes::requests(&statements, self.vocabulary, budget)? {
            let contexts = contexts::classes(&statements, &active, self.vocabulary, budget)?;
            for bound in contexts.bounds {
                for found in &mut self.found {
                    if !found.bounds.contains(&bound) {
                        found.bounds.push(bound.clone());
                    }
                }
            }
            let mut only: [Vec<Vec<(String, String)>>; 2] = Default::default();
            let classes = contexts.classes.len();
            for (holding, keys) in contexts.classes {
                budget.spend(active.words() + statements.len(), "the number of kinds of requests")?;
                let fitting = active.and(&holding);
                match [0, 1].map(|side| self.allows(side, &fitting)) {
                    [true, false] => only[0].push(keys),
                    [false, true] => only[1].push(keys),
                    _ => {}
                }
            }
            for (side, witnesses) in only.into_iter().enumerate() {
                // If the difference exists in every class of contexts, it depends on no key.
                let everywhere = witnesses.len() == classes;
                for keys in witnesses {
                    self.gap(side, &class, keys, everywhere);
                }
            }
        }
        Ok(())
    }

    /// Whether a side allows a request that exactly these statements match.
    fn allows(&self, side: usize, fitting: &Bits) -> bool {
        let of = |effect: Effect| {
            self.statements.iter().enumerate().any(|(place, (of, statement))| {
                *of == side && statement.effect == effect && fitting.has(place)
            })
        };
        !of(Effect::Deny) && of(Effect::Allow)
    }

    /// Records that only `side` allows the request, if the real decision confirms it.
    fn gap(&mut self, side: usize, class: &RequestClass, keys: Vec<(String, String)>, everywhere: bool) {
        // This key is another name of the principal.
        let named = keys.iter().find(|(key, value)| {
            key.eq_ignore_ascii_case(crate::keys::PRINCIPAL_ARN) && value.starts_with("acs:ram:")
        });
        let witness = Witness {
            principal: match named {
                Some((_, name)) if self.layer != Layer::Trust => name.clone(),
                _ => class.principal.clone(),
            },
            action: class.action.clone(),
            resource: class.resource.clone(),
            condition_keys: keys,
        };
        let context = witness.context();
        let request = witness.request(&context);
        let steps = [side, 1 - side].map(|side| self.sets[side].ask(self.layer, &request.parsed()));
        let refused = |step| match step {
            Step::Deny(by) => Some(DenyReason::ExplicitDeny { by }),
            Step::UnreadableDeny(by, why) => Some(DenyReason::CannotEvaluate { by, why }),
            Step::Nothing => Some(DenyReason::NothingAllows { layer: self.layer }),
            Step::Allow(_) => None,
        };
        let [allowing, refusing] = steps;
        // The classes are built such that the decision always confirms them. If it ever did not, a false witness
        // would be worse than no answer.
        let (Step::Allow(allowed_by), Some(refused)) = (allowing, refused(refusing)) else {
            let bound =
                "a request was found that the decision does not confirm; the answer may lack a difference";
            self.found[side].bounds.push(bound.to_owned());
            return;
        };
        let depends_on = if everywhere { Vec::new() } else { class.keys.clone() };
        self.found[side].add(Gap { allowed_by, refused, witness, depends_on });
    }
}

impl Found {
    /// Keeps one gap for each pair of a statement that allows and a reason for the refusal: the one with the fewest
    /// condition keys.
    fn add(&mut self, gap: Gap) {
        let why = (gap.allowed_by.clone(), gap.refused.clone());
        match self.places.get(&why) {
            Some(place) => {
                let present = &mut self.gaps[*place];
                let weight = |gap: &Gap| (gap.depends_on.len(), gap.witness.condition_keys.len());
                if weight(&gap) < weight(present) {
                    *present = gap;
                }
            }
            None if self.gaps.len() < MAX_LISTED_GAPS => {
                self.places.insert(why, self.gaps.len());
                self.gaps.push(gap);
            }
            None => self.more = true,
        }
    }

    fn into_direction(mut self, unknown: Option<&'static str>) -> Direction {
        let mut keys: Vec<&String> = self.gaps.iter().flat_map(|gap| &gap.depends_on).collect();
        keys.sort();
        keys.dedup();
        if !keys.is_empty() {
            let names: Vec<&str> = keys.into_iter().map(String::as_str).collect();
            self.bounds.push(format!(
                "some differences hold under conditions only; {} are taken as free, each with one value",
                names.join(", ")
            ));
        }
        if self.more {
            self.bounds.push(format!("only the first {MAX_LISTED_GAPS} differences are listed"));
        }
        let verdict = match unknown {
            Some(what) => Verdict::Unknown {
                why: format!("{what} grew past {MAX_DIFFERENCE_STEPS} steps; compare smaller policies"),
            },
            None if self.gaps.is_empty() => Verdict::Nothing,
            None => Verdict::Something,
        };
        Direction { verdict, gaps: self.gaps, bounds: self.bounds }
    }
}
