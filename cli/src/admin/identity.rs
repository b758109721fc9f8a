//! Users, access keys and the account.

use domain::access_key::AccessKeyStatus;
use domain::identity::{AccessKeyEntry, AccessKeyId, KeyOwner, User, UserName};
use persistence::Store;
use serde_json::{Value, json};

use super::{Operator, refused};
use crate::arguments::{
    AccessKeyCommand, AccountCommand, AdminCommand, KeyOwnerArguments, Output, UserCommand,
};
use crate::deployment::DataDirectory;
use crate::failure::Failure;
use crate::table::{Table, facts};
use crate::{root_key, terminal};

pub(super) async fn run(
    command: &AdminCommand,
    output: Output,
    store: &Store,
    operator: &Operator,
    data: &DataDirectory,
) -> Result<(), Failure> {
    let session = Session { output, store, operator };
    match command {
        AdminCommand::User(command) => session.user(command).await,
        AdminCommand::AccessKey(command) => session.access_key(command, data).await,
        AdminCommand::Policy(command) => session.policy(command).await,
        AdminCommand::ControlPolicy(command) => session.control_policy(command).await,
        AdminCommand::Account(AccountCommand::Show) => session.account(data).await,
        AdminCommand::ServerKeys(_) | AdminCommand::Audit(_) | AdminCommand::Instance(_) => Ok(()),
    }
}

/// One command, with its database, its operator, and the form of its output.
pub(super) struct Session<'a> {
    pub(super) output: Output,
    pub(super) store: &'a Store,
    pub(super) operator: &'a Operator,
}

impl Session<'_> {
    async fn user(&self, command: &UserCommand) -> Result<(), Failure> {
        let granted = &self.operator.granted;
        match command {
            UserCommand::Create { name } => {
                let audit = self.operator.audit("user create", format!("user/{name}"));
                let user =
                    self.store.create_user(granted, name, self.operator.now, audit).await.map_err(refused)?;
                self.one(&user_json(&user))
            }
            UserCommand::List => {
                let users = self.store.all_users(granted).await.map_err(refused)?;
                if self.output == Output::Json {
                    return terminal::print_json(&users.iter().map(user_json).collect());
                }
                let mut table = Table::new(&["NAME", "ID", "CREATED"]);
                for user in users {
                    table.row([user.name.as_str(), user.id.as_str(), &user.created_at.to_rfc3339_seconds()]);
                }
                terminal::print(&table.to_text())
            }
            UserCommand::Delete { name, force } => {
                let audit = self.operator.audit("user delete", format!("user/{name}"));
                if *force {
                    self.store.purge_user(granted, name, audit).await.map_err(refused)?;
                } else {
                    self.refuse_to_delete_with_belongings(name).await?;
                    // The store checks this again, in case something was added meanwhile.
                    self.store.delete_user(granted, name, audit).await.map_err(refused)?;
                }
                self.one(&json!({ "UserName": name.as_str(), "Deleted": true }))
            }
        }
    }

    /// As in RAM: what a user has must be removed explicitly, not as a side effect.
    async fn refuse_to_delete_with_belongings(&self, name: &UserName) -> Result<(), Failure> {
        let granted = &self.operator.granted;
        let keys = self.store.all_access_keys(granted).await.map_err(refused)?;
        let groups = self.store.groups_of_user(granted, name).await.map_err(refused)?;
        let policies = self.store.all_policies(granted).await.map_err(refused)?;
        let keys = keys.iter().filter(|key| key.owner == KeyOwner::User(name.clone()));
        let policies = policies.iter().filter(|policy| policy.attached_to.contains(name));
        let held: Vec<_> = keys
            .map(|key| format!("access key {}", key.id))
            .chain(groups.iter().map(|group| format!("membership in {}", group.what.name)))
            .chain(policies.map(|policy| format!("policy {}", policy.name)))
            .collect();
        if held.is_empty() {
            return Ok(());
        }
        Err(Failure::failed(format!(
            "DeleteConflict: the user {name} has {}; delete its access keys, take it out of its groups and detach \
             its policies first, or --force does it all",
            held.join(", ")
        )))
    }

    async fn access_key(&self, command: &AccessKeyCommand, data: &DataDirectory) -> Result<(), Failure> {
        match command {
            AccessKeyCommand::Create { owner } => self.create_access_key(owner).await,
            AccessKeyCommand::List => self.list_access_keys().await,
            AccessKeyCommand::SetStatus { id, status } => self.set_access_key_status(id, *status).await,
            AccessKeyCommand::Delete { id } => self.delete_access_key(id, data).await,
        }
    }

    async fn create_access_key(&self, owner: &KeyOwnerArguments) -> Result<(), Failure> {
        let owner = match &owner.user {
            Some(user) => KeyOwner::User(user.clone()),
            None => KeyOwner::Root,
        };
        let audit = self.operator.audit("access-key create", owner_resource(&owner));
        let (id, secret) = self
            .store
            .create_access_key(&self.operator.granted, &owner, self.operator.now, audit)
            .await
            .map_err(refused)?;
        if self.output == Output::Table {
            terminal::note("the secret is shown only once:");
        }
        self.one(&json!({
            "AccessKeyId": id.as_str(),
            "AccessKeySecret": secret.reveal(),
            "Owner": owner_text(&owner),
        }))
    }

    async fn list_access_keys(&self) -> Result<(), Failure> {
        let keys = self.store.all_access_keys(&self.operator.granted).await.map_err(refused)?;
        if self.output == Output::Json {
            return terminal::print_json(&keys.iter().map(access_key_json).collect());
        }
        let mut table = Table::new(&["ACCESS KEY", "OWNER", "STATUS", "CREATED"]);
        for key in keys {
            let created = key.created_at.to_rfc3339_seconds();
            table.row([key.id.as_str(), &owner_text(&key.owner), key.status.as_str(), &created]);
        }
        terminal::print(&table.to_text())
    }

    async fn set_access_key_status(&self, id: &AccessKeyId, status: AccessKeyStatus) -> Result<(), Failure> {
        let audit = self.operator.audit("access-key set-status", format!("access-key/{id}"));
        let granted = &self.operator.granted;
        self.store.set_access_key_status(granted, id, status, audit).await.map_err(refused)?;
        self.one(&json!({ "AccessKeyId": id.as_str(), "Status": status.as_str() }))
    }

    /// A deleted key is also removed from the data directory; otherwise the next start would bring it back.
    async fn delete_access_key(&self, id: &AccessKeyId, data: &DataDirectory) -> Result<(), Failure> {
        let audit = self.operator.audit("access-key delete", format!("access-key/{id}"));
        self.store.delete_access_key(&self.operator.granted, id, audit).await.map_err(refused)?;
        let path = data.root_access_key();
        if root_key::find(&path)?.is_some_and(|kept| kept.access_key_id == *id) {
            std::fs::remove_file(&path).map_err(|error| {
                Failure::failed(format!(
                    "the key is deleted, and {} cannot be removed: {error}; remove it, or the next start brings the \
                     key back",
                    path.display()
                ))
            })?;
        }
        self.one(&json!({ "AccessKeyId": id.as_str(), "Deleted": true }))
    }

    async fn account(&self, data: &DataDirectory) -> Result<(), Failure> {
        let account = self.operator.granted.account();
        let users = self.store.all_users(&self.operator.granted).await.map_err(refused)?.len();
        let keys = self.store.all_access_keys(&self.operator.granted).await.map_err(refused)?.len();
        let kept = root_key::find(&data.root_access_key())?.filter(|root| root.account == *account);
        let mut shown = json!({ "AccountId": account.as_str(), "Users": users, "AccessKeys": keys });
        if let Some(root) = kept {
            shown["RootAccessKeyId"] = json!(root.access_key_id.as_str());
            shown["RootAccessKeyFile"] = json!(data.root_access_key().display().to_string());
        }
        self.one(&shown)
    }

    /// Prints one thing: its members in a column, or as JSON.
    pub(super) fn one(&self, thing: &Value) -> Result<(), Failure> {
        if self.output == Output::Json {
            return terminal::print_json(thing);
        }
        let members = thing.as_object().into_iter().flatten().map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (name.as_str(), value)
        });
        terminal::print(&facts(members))
    }
}

fn owner_resource(owner: &KeyOwner) -> String {
    match owner {
        KeyOwner::Root => "root".to_owned(),
        KeyOwner::User(user) => format!("user/{user}"),
    }
}

fn owner_text(owner: &KeyOwner) -> String {
    match owner {
        KeyOwner::Root => "root".to_owned(),
        KeyOwner::User(user) => user.to_string(),
    }
}

fn user_json(user: &User) -> Value {
    json!({
        "UserName": user.name.as_str(),
        "UserId": user.id.as_str(),
        "CreateDate": user.created_at.to_rfc3339_seconds(),
    })
}

fn access_key_json(key: &AccessKeyEntry) -> Value {
    json!({
        "AccessKeyId": key.id.as_str(),
        "Owner": owner_text(&key.owner),
        "Status": key.status.as_str(),
        "CreateDate": key.created_at.to_rfc3339_seconds(),
    })
}
