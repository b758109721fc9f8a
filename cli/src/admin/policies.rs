//! `hansard admin policy`.

use std::io::Read as _;
use std::path::Path;

use domain::identity::{IdentityRefused, PolicyEntry, PolicyKind, PolicyName, PolicyRef, PolicySummary};
use domain::policy_bearer::PolicyBearer;
use domain::policy_version::PolicyVersionId;
use persistence::{MarkerRequest, StoreError};
use policies::DocumentKind;
use serde_json::{Value, json};

use super::identity::Session;
use super::refused;
use crate::arguments::{Output, PolicyCommand};
use crate::failure::Failure;
use crate::table::Table;
use crate::{policy_findings, terminal};

/// The largest policy document that is read from a file; the language itself allows far less.
const POLICY_LIMIT_BYTES: u64 = 1024 * 1024;
/// How many ready-made policies are listed at once.
const PAGE: u32 = 1000;

impl Session<'_> {
    pub(super) async fn policy(&self, command: &PolicyCommand) -> Result<(), Failure> {
        match command {
            PolicyCommand::Put { name, file, over } => self.put_policy(name, file, *over).await,
            PolicyCommand::List { kind } => match kind.kind {
                PolicyKind::Custom => self.list_policies().await,
                PolicyKind::System => self.list_system_policies().await,
            },
            PolicyCommand::Show { name, kind } => self.show_policy(name, kind.kind).await,
            PolicyCommand::Delete { name } => {
                let audit = self.operator.audit("policy delete", PolicyRef::from(name).to_string());
                self.store.purge_policy(&self.operator.granted, name, audit).await.map_err(refused)?;
                self.one(&json!({ "PolicyName": name.as_str(), "Deleted": true }))
            }
            PolicyCommand::Attach { name, kind, bearer } => {
                let policy = PolicyRef { kind: kind.kind, name: name.clone() };
                self.attach(&policy, named(bearer.bearer())?).await
            }
            PolicyCommand::Detach { name, kind, bearer } => {
                let policy = PolicyRef { kind: kind.kind, name: name.clone() };
                self.detach(&policy, named(bearer.bearer())?).await
            }
        }
    }

    /// The new document replaces the version that was the default when the command began, and no other: a version that
    /// somebody else made the default meanwhile is not overwritten.
    async fn put_policy(
        &self,
        name: &PolicyName,
        file: &Path,
        over: Option<PolicyVersionId>,
    ) -> Result<(), Failure> {
        let (store, granted) = (self.store, &self.operator.granted);
        let seen = match over {
            Some(over) => Some(over),
            None => store.find_default_policy_version(granted, name).await.map_err(refused)?,
        };
        let document = read_document(file)?;
        let audit = self.operator.audit("policy put", PolicyRef::from(name).to_string());
        let made = store
            .put_policy_over(granted, name, &document, seen, self.operator.now, audit)
            .await
            .map_err(refused)?;
        let put = json!({ "PolicyName": name.as_str(), "VersionId": made.to_string() });
        self.written(put, &document, DocumentKind::Identity)
    }

    /// Prints a policy that was written, and the findings about its document.
    pub(super) fn written(
        &self,
        mut policy: Value,
        document: &str,
        kind: DocumentKind,
    ) -> Result<(), Failure> {
        let findings = policy_findings::about(document, kind);
        if self.output == Output::Json {
            policy["Findings"] = policy_findings::json(&findings);
        }
        self.one(&policy)?;
        policy_findings::note(&findings);
        Ok(())
    }

    /// A policy that is attached already stays attached.
    async fn attach(&self, policy: &PolicyRef, bearer: PolicyBearer) -> Result<(), Failure> {
        let audit = self.operator.audit("policy attach", format!("{policy} {bearer}"));
        let now = self.operator.now;
        match self.store.attach_policy(&self.operator.granted, &bearer, policy, now, audit).await {
            Ok(()) | Err(StoreError::Identity(IdentityRefused::AlreadyExists { .. })) => {
                self.one(&attachment_json(policy, &bearer, true))
            }
            Err(error) => Err(refused(error)),
        }
    }

    async fn detach(&self, policy: &PolicyRef, bearer: PolicyBearer) -> Result<(), Failure> {
        let audit = self.operator.audit("policy detach", format!("{policy} {bearer}"));
        self.store.detach_policy(&self.operator.granted, &bearer, policy, audit).await.map_err(refused)?;
        self.one(&attachment_json(policy, &bearer, false))
    }

    async fn list_policies(&self) -> Result<(), Failure> {
        let policies = self.store.all_policies(&self.operator.granted).await.map_err(refused)?;
        if self.output == Output::Json {
            return terminal::print_json(&policies.iter().map(policy_json).collect());
        }
        let mut table = Table::new(&["POLICY", "VERSION", "ATTACHED TO", "CHANGED"]);
        for policy in policies {
            let users = policy.attached_to.iter().map(ToString::to_string);
            let groups = policy.attached_to_groups.iter().map(|group| format!("group {group}"));
            let roles = policy.attached_to_roles.iter().map(|role| format!("role {role}"));
            let bearers = users.chain(groups).chain(roles).collect::<Vec<_>>().join(", ");
            let version = policy.default_version.to_string();
            table.row([policy.name.as_str(), &version, &bearers, &policy.changed_at.to_rfc3339_seconds()]);
        }
        terminal::print(&table.to_text())
    }

    async fn list_system_policies(&self) -> Result<(), Failure> {
        let page = MarkerRequest { marker: None, max_items: PAGE };
        let kind = Some(PolicyKind::System);
        let policies =
            self.store.list_policies(&self.operator.granted, kind, &page).await.map_err(refused)?.items;
        if self.output == Output::Json {
            return terminal::print_json(&policies.iter().map(summary_json).collect());
        }
        let mut table = Table::new(&["POLICY", "ATTACHED", "FOR"]);
        for PolicySummary { policy, description, attachment_count, .. } in &policies {
            table.row([policy.name.as_str(), &attachment_count.to_string(), description]);
        }
        terminal::print(&table.to_text())
    }

    async fn show_policy(&self, name: &PolicyName, kind: PolicyKind) -> Result<(), Failure> {
        let policy = PolicyRef { kind, name: name.clone() };
        let found = self.store.get_policy(&self.operator.granted, &policy).await;
        let (summary, deciding) = found.map_err(|error| match error {
            StoreError::Identity(
                IdentityRefused::NotExist { .. } | IdentityRefused::NoSystemPolicy { .. },
            ) => Failure::not_found(format!("there is no policy {name}")),
            error => refused(error),
        })?;
        if self.output == Output::Json {
            let mut shown = summary_json(&summary);
            shown["PolicyDocument"] = json!(deciding.document);
            return terminal::print_json(&shown);
        }
        self.document(&deciding.document)
    }

    /// Prints a stored document.
    pub(super) fn document(&self, document: &str) -> Result<(), Failure> {
        terminal::print(&format!("{}\n", recording::sanitise::sanitised_lines(document.trim_end())))
    }
}

fn named(bearer: Option<PolicyBearer>) -> Result<PolicyBearer, Failure> {
    bearer.ok_or_else(|| Failure::usage("name one with --user, --group or --role"))
}

fn attachment_json(policy: &PolicyRef, bearer: &PolicyBearer, attached: bool) -> Value {
    let of = match bearer {
        PolicyBearer::User(_) => "UserName",
        PolicyBearer::Group(_) => "GroupName",
        PolicyBearer::Role(_) => "RoleName",
    };
    json!({ "PolicyName": policy.name.as_str(), of: bearer.name(), "Attached": attached })
}

fn policy_json(policy: &PolicyEntry) -> Value {
    fn names<T: ToString>(names: &[T]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }
    json!({
        "PolicyName": policy.name.as_str(),
        "PolicyDocument": policy.document,
        "DefaultVersion": policy.default_version.to_string(),
        "CreateDate": policy.created_at.to_rfc3339_seconds(),
        "UpdateDate": policy.changed_at.to_rfc3339_seconds(),
        "AttachedTo": names(&policy.attached_to),
        "AttachedToGroups": names(&policy.attached_to_groups),
        "AttachedToRoles": names(&policy.attached_to_roles),
    })
}

fn summary_json(policy: &PolicySummary) -> Value {
    json!({
        "PolicyName": policy.policy.name.as_str(),
        "PolicyType": policy.policy.kind.as_str(),
        "Description": policy.description,
        "DefaultVersion": policy.default_version.to_string(),
        "AttachmentCount": policy.attachment_count,
        "CreateDate": policy.created_at.to_rfc3339_seconds(),
        "UpdateDate": policy.changed_at.to_rfc3339_seconds(),
    })
}

/// Reads a document from a file, or from standard input.
pub(super) fn read_document(file: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!("the policy document {} cannot be read: {error}", file.display()))
    };
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().lock().take(POLICY_LIMIT_BYTES).read_to_string(&mut text).map_err(failed)?;
    } else {
        let opened = std::fs::File::open(file).map_err(failed)?;
        opened.take(POLICY_LIMIT_BYTES).read_to_string(&mut text).map_err(failed)?;
    }
    Ok(text)
}
