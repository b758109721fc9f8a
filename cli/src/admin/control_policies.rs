//! `hansard admin control-policy`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use domain::identity::{ControlPolicy, PolicyName};
use domain::vocabulary::vocabulary;
use policies::{DocumentKind, PolicyDocument, PolicySet, Verdict, diff};
use serde_json::{Value, json};

use super::identity::Session;
use super::policies::read_document;
use super::refused;
use crate::arguments::{ControlPolicyCommand, Output};
use crate::failure::Failure;
use crate::table::Table;
use crate::terminal;

impl Session<'_> {
    pub(super) async fn control_policy(&self, command: &ControlPolicyCommand) -> Result<(), Failure> {
        match command {
            ControlPolicyCommand::Put { name, file, level } => {
                self.put_control_policy(name, file, *level).await
            }
            ControlPolicyCommand::List => self.list_control_policies().await,
            ControlPolicyCommand::Show { name } => self.show_control_policy(name).await,
            ControlPolicyCommand::Delete { name } => {
                let audit = self.operator.audit("control-policy delete", resource(name));
                self.store
                    .delete_control_policy(&self.operator.granted, name, audit)
                    .await
                    .map_err(refused)?;
                self.one(&json!({ "PolicyName": name.as_str(), "Deleted": true }))?;
                self.warn_of_closed_levels().await
            }
        }
    }

    async fn put_control_policy(
        &self,
        name: &PolicyName,
        file: &Path,
        level: Option<u32>,
    ) -> Result<(), Failure> {
        let present = self.control_policies().await?.into_iter().find(|policy| policy.name == *name);
        let level = level.or(present.as_ref().map(|policy| policy.level)).unwrap_or(1);
        let document = read_document(file)?;
        let audit = self.operator.audit("control-policy put", resource(name));
        let seen = present.map(|policy| policy.changed_at);
        self.store
            .put_control_policy(
                &self.operator.granted,
                name,
                level,
                &document,
                seen,
                self.operator.now,
                audit,
            )
            .await
            .map_err(refused)?;
        let put = json!({ "PolicyName": name.as_str(), "Level": level });
        self.written(put, &document, DocumentKind::Control)?;
        self.warn_of_closed_levels().await
    }

    async fn control_policies(&self) -> Result<Vec<ControlPolicy>, Failure> {
        self.store.all_control_policies(&self.operator.granted).await.map_err(refused)
    }

    async fn list_control_policies(&self) -> Result<(), Failure> {
        let policies = self.control_policies().await?;
        if self.output == Output::Json {
            return terminal::print_json(&policies.iter().map(control_policy_json).collect());
        }
        let mut table = Table::new(&["LEVEL", "CONTROL POLICY", "CHANGED"]);
        for policy in policies {
            let changed = policy.changed_at.to_rfc3339_seconds();
            table.row([&policy.level.to_string(), policy.name.as_str(), &changed]);
        }
        terminal::print(&table.to_text())
    }

    async fn show_control_policy(&self, name: &PolicyName) -> Result<(), Failure> {
        let found = self.control_policies().await?.into_iter().find(|policy| policy.name == *name);
        let policy = found.ok_or_else(|| Failure::not_found(format!("there is no control policy {name}")))?;
        if self.output == Output::Json {
            return terminal::print_json(&control_policy_json(&policy));
        }
        self.document(&policy.document)
    }

    /// Warns about each level that allows nothing, because it locks everybody out. The policy is stored all the same:
    /// closing an account may be intended.
    async fn warn_of_closed_levels(&self) -> Result<(), Failure> {
        for level in closed_levels(&self.control_policies().await?)? {
            terminal::note(&format!(
                "warning: level {level} of the control policies allows nothing, so that every call of every user and \
                 role is refused, and only the account's owner is left; put a policy with an Allow on it, or delete \
                 those that are there"
            ));
        }
        Ok(())
    }
}

/// The levels on which no request at all is allowed.
fn closed_levels(policies: &[ControlPolicy]) -> Result<Vec<u32>, Failure> {
    let mut levels: BTreeMap<u32, Vec<_>> = BTreeMap::new();
    for policy in policies {
        let document = PolicyDocument::parse(policy.document.as_bytes(), DocumentKind::Control)
            .map_err(|why| Failure::failed(format!("the control policy {}: {why}", policy.name)))?;
        let named = (Arc::from(policy.name.as_str()), Arc::new(document));
        levels.entry(policy.level).or_default().push(named);
    }
    let (nothing, vocabulary) = (PolicySet::default(), vocabulary());
    let closed = |level: PolicySet| diff(&nothing, &level, &vocabulary).only_b.verdict == Verdict::Nothing;
    Ok(levels
        .into_iter()
        .filter_map(|(level, policies)| closed(PolicySet::new(policies)).then_some(level))
        .collect())
}

fn resource(name: &PolicyName) -> String {
    format!("control-policy/{name}")
}

fn control_policy_json(policy: &ControlPolicy) -> Value {
    json!({
        "PolicyName": policy.name.as_str(),
        "Level": policy.level,
        "PolicyDocument": policy.document,
        "CreateDate": policy.created_at.to_rfc3339_seconds(),
        "UpdateDate": policy.changed_at.to_rfc3339_seconds(),
    })
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;

    fn policy(level: u32, statements: &str) -> ControlPolicy {
        let now = Timestamp::from_millis(0);
        ControlPolicy {
            name: PolicyName::parse(&format!("level-{level}")).unwrap(),
            level,
            document: format!(r#"{{"Version": "1", "Statement": [{statements}]}}"#),
            created_at: now,
            changed_at: now,
        }
    }

    #[test]
    fn a_level_is_closed_when_nothing_on_it_is_allowed_in_effect() {
        let allow = r#"{"Effect": "Allow", "Action": "ram:*", "Resource": "*"}"#;
        let deny_some = r#"{"Effect": "Deny", "Action": "ram:Delete*", "Resource": "*"}"#;
        let deny_all = r#"{"Effect": "Deny", "Action": "*", "Resource": "*"}"#;
        let closed = |policies: &[ControlPolicy]| closed_levels(policies).unwrap();
        assert!(closed(&[]).is_empty());
        assert_eq!(closed(&[policy(1, allow), policy(2, deny_some)]), [2]);
        assert!(closed(&[policy(1, deny_some), policy(1, allow)]).is_empty(), "one level is pooled");
        assert_eq!(closed(&[policy(1, allow), policy(1, deny_all), policy(3, deny_all)]), [1, 3]);
    }
}
