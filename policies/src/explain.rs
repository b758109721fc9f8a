//! Explains a decision: for each layer, the statement that decided, and for a denial the closest statements, with what
//! failed in each.
//!
//! It asks the compiled statements that [`evaluate`](crate::evaluate()) asks, so the two cannot disagree.

mod text;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::conditions::{ConditionError, KeyTest};
use crate::decision::{Decision, Layer, StatementId};
use crate::evaluate::{Layers, Request, evaluate};
use crate::policy_set::{PolicySet, Step};
use crate::resource::ResourceName;
use crate::statement::{Effect, ParsedRequest, Statement};

/// How many closest statements are given for each layer.
pub const NEAREST_STATEMENTS: usize = 5;

/// The explanation of a decision. `Display` gives it as plain text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Who asked.
    pub principal: String,
    /// For which action.
    pub action: String,
    /// On which resource.
    pub resource: String,
    /// The context of the request; keys in lower case.
    pub context: BTreeMap<String, Vec<String>>,
    /// The decision of [`evaluate`](crate::evaluate()).
    pub decision: Decision,
    /// The layers in the order in which they are asked; empty if the account owner was allowed without a policy.
    pub layers: Vec<LayerExplanation>,
    /// Condition keys that bear on the request and that it does not carry.
    pub absent_keys: Vec<String>,
}

/// What one layer says, and which of its statements bear on that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerExplanation {
    /// The layer.
    pub layer: Layer,
    /// For control policies, the level over the account, counted from 0 in the order of the levels.
    pub level: Option<usize>,
    /// What it says on its own.
    pub says: LayerAnswer,
    /// Whether it was asked; false when an earlier layer ended the evaluation.
    pub asked: bool,
    /// Whether this layer decided.
    pub decides: bool,
    /// How many statements the layer has.
    pub statements: usize,
    /// The statement that decided, and for a denial the Allow statements that come nearest, the nearest first.
    pub nearest: Vec<StatementExplanation>,
}

/// The answer of one layer on its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum LayerAnswer {
    /// A statement allows the request, and none denies it.
    Allow {
        /// The statement.
        by: StatementId,
    },
    /// A statement denies it.
    ExplicitDeny {
        /// The statement.
        by: StatementId,
    },
    /// No statement allows it, and none denies it.
    NothingAllows,
    /// A Deny may fit, but cannot be evaluated.
    CannotEvaluate {
        /// The statement.
        by: StatementId,
        /// What could not be read.
        why: ConditionError,
    },
}

/// One statement, compared with the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatementExplanation {
    /// Which statement.
    pub id: StatementId,
    /// `Allow` or `Deny`.
    pub effect: &'static str,
    /// Whether all of it fits.
    pub fits: bool,
    /// Its actions beside the request's.
    pub action: ElementExplanation,
    /// Its resources beside the request's; none in a trust policy.
    pub resource: Option<ElementExplanation>,
    /// Its principals beside the request's; in a trust policy only.
    pub principal: Option<ElementExplanation>,
    /// Its condition keys beside the request's.
    pub conditions: Vec<KeyExplanation>,
}

/// An element of a statement beside the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ElementExplanation {
    /// The element, such as `NotAction`.
    pub element: &'static str,
    /// Whether it fits.
    pub fits: bool,
    /// What the statement has.
    pub wanted: Vec<String>,
    /// What the request has.
    pub found: String,
}

/// A condition key of a statement beside the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyExplanation {
    /// The operator.
    pub operator: &'static str,
    /// The key, as the policy spells it.
    pub key: String,
    /// What the statement has.
    pub wanted: Vec<String>,
    /// What the request has; nothing if the key is absent.
    pub found: Vec<String>,
    /// What came of it.
    pub result: KeyResult,
}

/// What came of a condition key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum KeyResult {
    /// It holds.
    Holds,
    /// It fails because the request does not carry the key.
    Absent,
    /// It fails because the request's value is none of those wanted.
    Unequal,
    /// It fails because the request's value is one of those that are ruled out.
    Excluded,
    /// The request's value cannot be read.
    Unreadable,
}

/// Explains the decision on a request.
#[must_use]
pub fn explain(layers: &Layers, request: &Request<'_>) -> Explanation {
    let parsed = request.parsed();
    let decision = evaluate(layers, request);
    // The owner is allowed, or refused a role, before any policy is asked.
    let explained = if layers.owner_of(parsed.principal, parsed.resource) {
        Vec::new()
    } else {
        explain_layers(layers, request, &parsed, &decision)
    };
    Explanation {
        principal: request.principal.to_owned(),
        action: request.action.to_owned(),
        resource: request.resource.to_owned(),
        context: request
            .context
            .iter()
            .map(|(key, values)| {
                (key.to_owned(), values.iter().map(|value| value.text().to_owned()).collect())
            })
            .collect(),
        layers: explained,
        absent_keys: absent_keys(layers, request),
        decision,
    }
}

/// The sets in the order in which they are asked, with the level of a control set.
fn sets(layers: &Layers) -> impl Iterator<Item = (Layer, Option<usize>, &PolicySet)> {
    let control = layers.control.iter().enumerate().map(|(level, set)| (Layer::Control, Some(level), set));
    let session = layers.session.iter().map(|set| (Layer::Session, None, set));
    let identity = [(Layer::Identity, None, &layers.identity)];
    let trust = layers.trust.iter().map(|set| (Layer::Trust, None, set));
    control.chain(session).chain(identity).chain(trust)
}

fn explain_layers(
    layers: &Layers,
    request: &Request<'_>,
    parsed: &ParsedRequest<'_>,
    decision: &Decision,
) -> Vec<LayerExplanation> {
    let deciding = match decision {
        Decision::Allow { .. } => Layer::Identity,
        Decision::Deny(reason) => reason.layer(),
    };
    let mut ended = false;
    sets(layers)
        .map(|(layer, level, set)| {
            let says = match set.ask(layer, parsed) {
                Step::Deny(by) => LayerAnswer::ExplicitDeny { by },
                Step::UnreadableDeny(by, why) => LayerAnswer::CannotEvaluate { by, why },
                Step::Allow(by) => LayerAnswer::Allow { by },
                Step::Nothing => LayerAnswer::NothingAllows,
            };
            let allows = matches!(says, LayerAnswer::Allow { .. });
            let was_asked = !ended;
            // Among control levels, the first that does not allow decides.
            let decides = was_asked && layer == deciding && (layer != Layer::Control || !allows);
            // Identity and trust policies are always asked both.
            ended |= !allows && matches!(layer, Layer::Control | Layer::Session);
            LayerExplanation {
                layer,
                level,
                asked: was_asked,
                decides,
                statements: set.policies().iter().map(|(_, document)| document.statement_count()).sum(),
                nearest: nearest(set, layer, &says, request, parsed),
                says,
            }
        })
        .collect()
}

fn nearest(
    set: &PolicySet,
    layer: Layer,
    says: &LayerAnswer,
    request: &Request<'_>,
    parsed: &ParsedRequest<'_>,
) -> Vec<StatementExplanation> {
    let all = || {
        set.policies().iter().flat_map(move |(policy, document)| {
            document.statements.iter().enumerate().map(move |(statement, compiled)| {
                (StatementId { layer, policy: policy.clone(), statement }, compiled)
            })
        })
    };
    let explained = |id, statement| explain_statement(id, statement, request, parsed);
    let decided = match says {
        LayerAnswer::Allow { by }
        | LayerAnswer::ExplicitDeny { by }
        | LayerAnswer::CannotEvaluate { by, .. } => Some(by),
        LayerAnswer::NothingAllows => None,
    };
    // Two policies may bear one name; only the first statement of this id with the answer's effect is meant.
    let effect = if matches!(says, LayerAnswer::Allow { .. }) { Effect::Allow } else { Effect::Deny };
    let mut chosen: Vec<StatementExplanation> = all()
        .filter(|(id, statement)| decided == Some(id) && statement.effect == effect)
        .take(1)
        .map(|(id, statement)| explained(id, statement))
        .collect();
    if !matches!(says, LayerAnswer::Allow { .. }) {
        let mut allows: Vec<StatementExplanation> = all()
            .filter(|(_, statement)| statement.effect == Effect::Allow)
            .map(|(id, statement)| explained(id, statement))
            .collect();
        // Stable, so that equals stay in the order of the policies.
        allows.sort_by_key(|statement| (statement.failures(), !statement.action.fits));
        chosen.extend(allows.into_iter().take(NEAREST_STATEMENTS));
    }
    chosen
}

fn explain_statement(
    id: StatementId,
    statement: &Statement,
    request: &Request<'_>,
    parsed: &ParsedRequest<'_>,
) -> StatementExplanation {
    let texts = |spelled: &[Box<str>]| spelled.iter().map(|text| text.to_string()).collect();
    let element = |element, fits, spelled, found: &str| ElementExplanation {
        element,
        fits,
        wanted: texts(spelled),
        found: found.to_owned(),
    };
    let actions = &statement.actions;
    let action = element(
        if actions.negated { "NotAction" } else { "Action" },
        actions.cover(parsed.action),
        &actions.spelled,
        request.action,
    );
    let resource = statement.resources.as_ref().map(|resources| {
        let name = if resources.negated { "NotResource" } else { "Resource" };
        element(name, statement.resource_fits(parsed.resource), &resources.spelled, request.resource)
    });
    let principal = statement.principals.as_ref().map(|principals| {
        element("Principal", principals.include(parsed.principal), &principals.spelled, request.principal)
    });
    let conditions: Vec<KeyExplanation> =
        statement.conditions.tests().iter().map(|test| explain_key(test, parsed)).collect();
    StatementExplanation {
        id,
        effect: match statement.effect {
            Effect::Allow => "Allow",
            Effect::Deny => "Deny",
        },
        fits: action.fits
            && [&resource, &principal].into_iter().flatten().all(|element| element.fits)
            && conditions.iter().all(|key| key.result == KeyResult::Holds),
        action,
        resource,
        principal,
        conditions,
    }
}

fn explain_key(test: &KeyTest, parsed: &ParsedRequest<'_>) -> KeyExplanation {
    let found = parsed.context.values(test.key());
    let operator = test.operator();
    let result = match test.holds(parsed.context) {
        Some(true) => KeyResult::Holds,
        Some(false) if operator.negated => KeyResult::Excluded,
        Some(false) if found.is_empty() => KeyResult::Absent,
        Some(false) => KeyResult::Unequal,
        None => KeyResult::Unreadable,
    };
    KeyExplanation {
        operator: operator.name,
        key: test.key().to_owned(),
        wanted: test.values().iter().map(|value| value.to_string()).collect(),
        found: found.iter().map(|value| value.text().to_owned()).collect(),
        result,
    }
}

impl StatementExplanation {
    /// How many elements and condition keys do not fit.
    fn failures(&self) -> usize {
        let elements = [Some(&self.action), self.resource.as_ref(), self.principal.as_ref()];
        elements.into_iter().flatten().filter(|element| !element.fits).count()
            + self.conditions.iter().filter(|key| key.result != KeyResult::Holds).count()
    }
}

/// The condition keys of statements which otherwise fit, as far as the request does not carry them. What a
/// simulation without them says may differ from what happens.
pub(crate) fn absent_keys(layers: &Layers, request: &Request<'_>) -> Vec<String> {
    let parsed = request.parsed();
    if layers.owner_of(parsed.principal, parsed.resource) {
        return Vec::new();
    }
    let mut absent: Vec<String> = Vec::new();
    for (_, _, set) in sets(layers) {
        for statement in set.policies().iter().flat_map(|(_, document)| &document.statements) {
            if !(statement.actions.cover(parsed.action)
                && statement.resource_fits(parsed.resource)
                && statement.principals_fit(parsed.principal))
            {
                continue;
            }
            for test in statement.conditions.tests() {
                let known = |key: &String| key.eq_ignore_ascii_case(test.key());
                if parsed.context.values(test.key()).is_empty() && !absent.iter().any(known) {
                    absent.push(test.key().to_owned());
                }
            }
        }
    }
    absent.sort();
    absent
}

/// Whether the request is about no resource of its own.
fn is_all(resource: &str) -> bool {
    matches!(ResourceName::split(resource), ResourceName::All)
}
