//! The policies that `simulate` and `explain` evaluate: documents, or what is stored on a server, or both.

use std::path::PathBuf;

use openapi::policy_tools::{self, ANYBODY, SimulationQuestions};
use openapi::workbench::PolicySimulation;
use policies::{Context, ContextValue, Drafts, NamedContext};
use serde_json::{Map, Value, json};

use super::files;
use crate::arguments::SubjectArguments;
use crate::client::Client;
use crate::environment::Environment;
use crate::failure::{Failure, chain};
use crate::terminal;

/// The questions of a simulation, whoever answers them.
pub(super) struct Questions<'a> {
    pub(super) actions: Vec<String>,
    pub(super) resources: Vec<String>,
    pub(super) contexts: Vec<NamedContext>,
    pub(super) subject: &'a SubjectArguments,
    pub(super) explain: bool,
}

/// The answers: from the documents alone, or by the server when something stored is named.
///
/// # Errors
/// A document is refused, the questions are too many, or the server refuses.
pub(super) fn answers(
    questions: &Questions<'_>,
    environment: &Environment,
) -> Result<PolicySimulation, Failure> {
    let drafts = drafts(questions.subject)?;
    match stored(questions.subject) {
        Some(stored) => {
            let client = Client::from_environment(environment)?;
            let parameters = parameters(questions, &drafts, &stored)?;
            let reply = crate::one_thread()?.block_on(client.call("SimulatePolicy", &parameters))?;
            crate::reply::read("SimulatePolicy", reply.get("Root").cloned().unwrap_or_default())
        }
        None => offline(questions, &drafts),
    }
}

fn offline(questions: &Questions<'_>, drafts: &Drafts) -> Result<PolicySimulation, Failure> {
    let principal = questions.subject.principal.as_deref().unwrap_or(ANYBODY);
    let layers = drafts.layers(principal).map_err(Failure::usage)?;
    let vocabulary = domain::vocabulary::vocabulary();
    let actions = policy_tools::expanded(&questions.actions, &vocabulary).map_err(Failure::usage)?;
    for action in &actions {
        if vocabulary.actions_that_fit(action).is_ok_and(|known| known.is_empty()) {
            terminal::note(&format!("this program does not know the action {action}"));
        }
    }
    let questions = SimulationQuestions {
        principal: principal.to_owned(),
        actions,
        resources: questions.resources.clone(),
        contexts: questions.contexts.clone(),
        explain: questions.explain,
    };
    policy_tools::simulate(&layers, questions, policies::MAX_SIMULATED_REQUESTS, || true)
        .map_err(|refused| Failure::usage(chain(&refused)))
}

fn drafts(subject: &SubjectArguments) -> Result<Drafts, Failure> {
    let all = |paths: &[PathBuf]| -> Result<Vec<_>, Failure> {
        paths.iter().map(|path| files::draft(path)).collect()
    };
    let one = |path: &Option<PathBuf>| path.as_deref().map(files::draft).transpose();
    Ok(Drafts {
        identity: all(&subject.policy)?,
        session: one(&subject.session_policy)?,
        control: all(&subject.control_policy)?,
        trust: one(&subject.trust_policy)?,
    })
}

/// The stored principal, as the API's parameter names it.
fn stored(subject: &SubjectArguments) -> Option<String> {
    let named = [("user", &subject.user), ("role", &subject.role), ("group", &subject.group)];
    named.into_iter().find_map(|(kind, name)| Some(format!("{kind}/{}", name.as_ref()?)))
}

/// `--context KEY=VALUE`, as one context.
///
/// # Errors
/// One has another form.
pub(super) fn context(texts: &[String]) -> Result<Context, Failure> {
    let mut keys: Vec<(&str, Vec<ContextValue>)> = Vec::new();
    for text in texts {
        let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
            Failure::usage(format!(
                "--context \"{text}\" is no condition key: it is written key=value, such as acs:SourceIp=10.1.2.3"
            ))
        })?;
        match keys.iter_mut().find(|(present, _)| present.eq_ignore_ascii_case(key)) {
            Some((_, values)) => values.push(value.into()),
            None => keys.push((key, vec![value.into()])),
        }
    }
    let mut context = Context::new();
    for (key, values) in keys {
        context.insert_all(key, values);
    }
    Ok(context)
}

/// The question as the API takes it.
fn parameters(
    questions: &Questions<'_>,
    drafts: &Drafts,
    stored: &str,
) -> Result<Vec<(String, String)>, Failure> {
    let text = |draft: &policies::Draft| {
        String::from_utf8(draft.text.clone())
            .map_err(|_| Failure::usage(format!("{} is not UTF-8", draft.name)))
    };
    let texts = |drafts: &[policies::Draft]| -> Result<Value, Failure> {
        Ok(json!(drafts.iter().map(text).collect::<Result<Vec<_>, _>>()?))
    };
    let mut parameters = vec![
        ("StoredPrincipal", stored.to_owned()),
        ("Actions", json!(questions.actions).to_string()),
        ("Resources", json!(questions.resources).to_string()),
        ("Explain", questions.explain.to_string()),
    ];
    parameters.push(match &*questions.contexts {
        [only] if only.name.is_empty() => ("Context", context_json(&only.context).to_string()),
        several => {
            let named = several.iter().map(|named| (named.name.clone(), context_json(&named.context)));
            ("Contexts", Value::Object(named.collect()).to_string())
        }
    });
    if !drafts.identity.is_empty() {
        parameters.push(("PolicyDocuments", texts(&drafts.identity)?.to_string()));
    }
    if !drafts.control.is_empty() {
        parameters.push(("ControlPolicies", texts(&drafts.control)?.to_string()));
    }
    for (name, draft) in [("SessionPolicy", &drafts.session), ("TrustPolicy", &drafts.trust)] {
        if let Some(draft) = draft {
            parameters.push((name, text(draft)?));
        }
    }
    if let Some(principal) = &questions.subject.principal {
        parameters.push(("Principal", principal.clone()));
    }
    Ok(parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn context_json(context: &Context) -> Value {
    let values = |values: &[ContextValue]| values.iter().map(|value| value.text().to_owned()).collect();
    context.iter().map(|(key, all)| (key.to_owned(), values(all))).collect::<Map<String, Value>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_comes_twice_has_two_values() {
        let texts = ["acs:SourceIp=10.0.0.1", "a:k=x=y", "A:K=z", "a:e="].map(str::to_owned);
        let context = context(&texts).unwrap();
        let expected = json!({"acs:sourceip": ["10.0.0.1"], "a:k": ["x=y", "z"], "a:e": [""]});
        assert_eq!(context_json(&context), expected);
        for bad in ["acs:SourceIp", "=x", ""] {
            let failure = super::context(&[bad.to_owned()]).unwrap_err();
            assert!(failure.message().contains("is no condition key"), "{failure}");
        }
    }
}
