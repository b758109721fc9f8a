//! What the parameters of SimulatePolicy are read from, most of which are JSON.

use domain::AccountId;
use domain::identity::{GroupName, RoleName, UserName};
use domain::parameter::{Parameter, Refused, Shape, TextShape};
use domain::policy_bearer::PolicyBearer;
use policies::{Context, NamedContext};

/// The longest name of an action or a resource, in bytes.
const LONGEST_NAME: usize = 1_024;
/// The most draft policies of one kind: as many as a user can have attached to itself.
const MOST_DRAFTS: usize = 30;
/// The longest context, in characters.
const LONGEST_CONTEXT: usize = 16_384;
/// The longest contexts, in characters.
const LONGEST_CONTEXTS: usize = 65_536;

/// Names of actions or resources: at least one, none of them long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

/// The texts of drafts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftTexts(pub Vec<String>);

/// The condition keys that a request carries.
#[derive(Debug)]
pub struct OneContext(pub Context);

/// Several contexts, by name.
#[derive(Debug)]
pub struct SeveralContexts(pub Vec<NamedContext>);

/// A user, a group or a role whose stored policies are asked, by its ARN or by what follows the account in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPrincipal {
    /// The account that its ARN names; `None` when it is not given as an ARN.
    pub account: Option<AccountId>,
    /// Who it is.
    pub bearer: PolicyBearer,
}

impl StoredPrincipal {
    /// What is allowed.
    pub const RULE: &'static str =
        "it must be user/<name>, group/<name> or role/<name> of your own account, or the ARN of one";
}

impl Parameter for Names {
    fn shape() -> Shape {
        TextShape::json().into()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        let names = strings(text)?;
        if names.is_empty() || names.iter().any(|name| name.is_empty() || name.len() > LONGEST_NAME) {
            let rule = format!("it must have at least one string, and each has 1 to {LONGEST_NAME} bytes");
            return Err(Refused::value(rule));
        }
        Ok(Self(names))
    }
}

impl Parameter for DraftTexts {
    fn shape() -> Shape {
        TextShape::json().into()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        let documents = strings(text)?;
        if documents.len() > MOST_DRAFTS {
            return Err(Refused::value(format!("it must have at most {MOST_DRAFTS} documents")));
        }
        Ok(Self(documents))
    }
}

fn strings(text: &str) -> Result<Vec<String>, Refused> {
    serde_json::from_str(text)
        .map_err(|error| Refused::value(format!("it must be a JSON list of strings: {error}")))
}

impl Parameter for OneContext {
    fn shape() -> Shape {
        context_of(LONGEST_CONTEXT).into()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        no_longer_than(LONGEST_CONTEXT, text)?;
        Context::from_json(text.as_bytes()).map(Self).map_err(|refused| Refused::value(refused.to_string()))
    }
}

impl Parameter for SeveralContexts {
    fn shape() -> Shape {
        context_of(LONGEST_CONTEXTS).into()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        no_longer_than(LONGEST_CONTEXTS, text)?;
        match NamedContext::all_from_json(text.as_bytes()) {
            Ok(named) if !named.is_empty() => Ok(Self(named)),
            Ok(_) => Err(Refused::value("it must have at least one context")),
            Err(refused) => Err(Refused::value(refused.to_string())),
        }
    }
}

fn context_of(most: usize) -> TextShape {
    TextShape::json().with_length(0..=most)
}

fn no_longer_than(most: usize, text: &str) -> Result<(), Refused> {
    if context_of(most).has_length(text) {
        Ok(())
    } else {
        Err(Refused::value(format!("it must have at most {most} characters")))
    }
}

impl Parameter for StoredPrincipal {
    fn shape() -> Shape {
        let inner = |pattern: String| pattern.trim_start_matches('^').trim_end_matches('$').to_owned();
        let account = inner(AccountId::PATTERN.to_owned());
        let [user, group, role] = [UserName::pattern(), GroupName::pattern(), RoleName::pattern()].map(inner);
        let pattern = format!("^(acs:ram::{account}:)?(user/{user}|group/{group}|role/{role})$");
        TextShape::fitting(pattern).into()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        let wrong = || Refused::value(Self::RULE);
        let (account, relative) = match text.strip_prefix("acs:ram::").and_then(|rest| rest.split_once(':')) {
            Some((account, relative)) => (Some(account.parse().map_err(|_| wrong())?), relative),
            None => (None, text),
        };
        let (kind, name) = relative.split_once('/').ok_or_else(wrong)?;
        let bearer = match kind {
            "user" => name.parse().ok().map(PolicyBearer::User),
            "group" => name.parse().ok().map(PolicyBearer::Group),
            "role" => name.parse().ok().map(PolicyBearer::Role),
            _ => None,
        };
        Ok(Self { account, bearer: bearer.ok_or_else(wrong)? })
    }
}
