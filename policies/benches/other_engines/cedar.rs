//! cedar-policy: actions have no wildcards there, so that patterns move into `when { ... like ... }`.

use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, RestrictedExpression,
};

use crate::Engine;
use crate::workload::{self, ACTION, Statement};

/// The request is built once, and decided again and again.
pub(crate) fn request_prepared(statements: usize) -> Engine {
    Engine::new("cedar-policy 4, request prepared before", |address| {
        let fixture = Fixture::new(statements);
        let request = fixture.request(address);
        move || fixture.decide(&request)
    })
}

/// The question is made for each decision, as a server has to.
pub(crate) fn request_built(statements: usize) -> Engine {
    Engine::new("cedar-policy 4, request built each time", |address| {
        let fixture = Fixture::new(statements);
        move || fixture.decide(&fixture.request(address))
    })
}

struct Fixture {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    user: EntityUid,
    action: EntityUid,
    instance: EntityUid,
}

impl Fixture {
    fn new(statements: usize) -> Self {
        let text: String = workload::statements(statements).iter().map(spelled).collect();
        let id = |text: &str| EntityUid::from_str(text).expect("an id");
        Self {
            authorizer: Authorizer::new(),
            policies: PolicySet::from_str(&text).expect("valid policies"),
            entities: Entities::empty(),
            user: id(r#"User::"alice""#),
            action: id(r#"Action::"ViewInstanceRecords""#),
            instance: id(r#"Instance::"i-prod7""#),
        }
    }

    fn request(&self, address: &str) -> Request {
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let context = Context::from_pairs([
            ("action".to_owned(), text(ACTION)),
            ("arn".to_owned(), text("acs:ecs-workbench:cn-hangzhou:1234567890123456:workbench/i-prod7")),
            ("source_ip".to_owned(), RestrictedExpression::new_ip(address)),
        ])
        .expect("a valid context");
        Request::new(self.user.clone(), self.action.clone(), self.instance.clone(), context, None)
            .expect("a valid request")
    }

    fn decide(&self, request: &Request) -> bool {
        self.authorizer.is_authorized(request, &self.policies, &self.entities).decision() == Decision::Allow
    }
}

fn spelled(statement: &Statement) -> String {
    let effect = if statement.effect == "Allow" { "permit" } else { "forbid" };
    let actions: Vec<String> =
        statement.actions.iter().map(|action| format!("context.action like {action:?}")).collect();
    let block = statement
        .block
        .map_or_else(String::new, |block| format!(" && context.source_ip.isInRange(ip({block:?}))"));
    format!(
        "{effect}(principal == User::\"alice\", action, resource) when {{ ({}) && context.arn like {:?}{block} }};\n",
        actions.join(" || "),
        statement.arn(),
    )
}
