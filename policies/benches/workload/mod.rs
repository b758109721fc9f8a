//! The question of the benches: one user with policies of five statements each. Half of the statements name the same
//! service with a verb pattern that fits but other instance prefixes, the other half name other services; one in five
//! is a Deny that does not fit; only the very last statement allows, under one IpAddress condition.

pub(crate) mod ram;

use std::fmt::Write;

/// So many statements are measured.
pub(crate) const STATEMENTS: [usize; 2] = [50, 1_000];

/// So many statements stand in one policy.
pub(crate) const STATEMENTS_PER_POLICY: usize = 5;

/// What is asked.
pub(crate) const ACTION: &str = "ecs-workbench:ViewInstanceRecords";

/// The address that is let in, and the one that is not.
pub(crate) const ADDRESSES: [&str; 2] = ["10.20.30.40", "192.0.2.7"];

/// A statement, before it is spelled for an engine.
pub(crate) struct Statement {
    /// `Allow` or `Deny`.
    pub(crate) effect: &'static str,
    /// Action patterns.
    pub(crate) actions: Vec<String>,
    /// The ram-code of the resource.
    pub(crate) service: &'static str,
    /// The end of the resource pattern, after the account.
    pub(crate) resource: String,
    /// The address block of the one condition.
    pub(crate) block: Option<&'static str>,
}

/// All statements of a question of that size, in their order.
pub(crate) fn statements(count: usize) -> Vec<Statement> {
    (0..count).map(|number| statement(number, count - 1)).collect()
}

fn statement(number: usize, last: usize) -> Statement {
    if number == last {
        return Statement {
            effect: "Allow",
            actions: vec!["ecs-workbench:View*".to_owned()],
            service: "ecs-workbench",
            resource: "workbench/i-prod*".to_owned(),
            block: Some("10.0.0.0/8"),
        };
    }
    let effect = if number.is_multiple_of(5) { "Deny" } else { "Allow" };
    if number.is_multiple_of(2) {
        Statement {
            effect,
            actions: vec!["ecs-workbench:List*".to_owned(), "ecs-workbench:View*".to_owned()],
            service: "ecs-workbench",
            resource: format!("workbench/i-team{number}*"),
            block: None,
        }
    } else {
        let service = ["ecs", "oss", "rds", "slb", "vpc", "ram", "kms", "log"][number / 2 % 8];
        let actions = vec![format!("{service}:Describe*")];
        Statement { effect, actions, service, resource: "*".to_owned(), block: None }
    }
}

impl Statement {
    /// The resource pattern, as RAM spells it.
    pub(crate) fn arn(&self) -> String {
        format!("acs:{}:*:1234567890123456:{}", self.service, self.resource)
    }
}

/// The policies as JSON. RAM and AWS differ in nothing but the date of the language and in names.
pub(crate) fn documents(
    count: usize,
    version: &str,
    arn: impl Fn(&Statement) -> String,
    address_key: &str,
) -> Vec<String> {
    let document = |statements: &[Statement]| {
        let mut text = format!(r#"{{"Version":"{version}","Statement":["#);
        for (index, statement) in statements.iter().enumerate() {
            let Statement { effect, actions, .. } = statement;
            let comma = if index == 0 { "" } else { "," };
            let condition = statement.block.map_or_else(String::new, |block| {
                format!(r#","Condition":{{"IpAddress":{{"{address_key}":"{block}"}}}}"#)
            });
            let resource = arn(statement);
            write!(
                text,
                r#"{comma}{{"Effect":"{effect}","Action":{actions:?},"Resource":"{resource}"{condition}}}"#
            )
            .expect("a String takes everything");
        }
        text + "]}"
    };
    statements(count).chunks(STATEMENTS_PER_POLICY).map(document).collect()
}
