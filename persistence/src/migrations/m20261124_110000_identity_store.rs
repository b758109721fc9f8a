//! Groups, roles and their sessions, console passwords, versions of policies, attachments to users, groups and roles,
//! and control policies. The contents of `policies` and `policy_attachments` are taken over.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, string, string_null, text, text_null,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        widen_users(manager).await?;
        for table in [login_profiles(), groups(), group_members(), roles(), role_sessions()] {
            manager.create_table(table).await?;
        }
        for index in [
            unique("groups_by_name", "groups", &["account_id", "name"]),
            unique("roles_by_name", "roles", &["account_id", "name"]),
            plain("group_members_by_user", "group_members", &["account_id", "user_id"]),
            plain("role_sessions_by_role", "role_sessions", &["role_id"]),
            plain("role_sessions_by_expiry", "role_sessions", &["expires_at"]),
        ] {
            manager.create_index(index).await?;
        }
        version_policies(manager).await?;
        widen_attachments(manager).await?;
        manager.create_table(control_policies()).await
    }
}

/// `last_used_*` of a key are written later, and not with every call.
async fn widen_users(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    for column in [
        string("display_name").default("").to_owned(),
        string("mobile_phone").default("").to_owned(),
        string("email").default("").to_owned(),
        text("comments").default("").to_owned(),
        big_integer_null("changed_at"),
        big_integer_null("last_login_at"),
    ] {
        manager.alter_table(Table::alter().table("users").add_column(column).to_owned()).await?;
    }
    for column in [big_integer_null("last_used_at"), string_null("last_used_service")] {
        manager.alter_table(Table::alter().table("access_keys").add_column(column).to_owned()).await?;
    }
    Ok(())
}

fn login_profiles() -> TableCreateStatement {
    Table::create()
        .table("login_profiles")
        .col(string("user_id").primary_key())
        .col(string("account_id"))
        .col(text("password_hash"))
        .col(boolean("password_reset_required"))
        .col(boolean("mfa_bind_required"))
        .col(big_integer("created_at"))
        .col(big_integer("changed_at"))
        .foreign_key(ForeignKey::create().from("login_profiles", "user_id").to("users", "user_id"))
        .to_owned()
}

fn groups() -> TableCreateStatement {
    Table::create()
        .table("groups")
        .col(string("group_id").primary_key())
        .col(string("account_id"))
        .col(string("name"))
        .col(text("comments"))
        .col(big_integer("created_at"))
        .col(big_integer("changed_at"))
        .foreign_key(ForeignKey::create().from("groups", "account_id").to("accounts", "account_id"))
        .to_owned()
}

fn group_members() -> TableCreateStatement {
    Table::create()
        .table("group_members")
        .col(string("account_id"))
        .col(string("group_id"))
        .col(string("user_id"))
        .col(big_integer("joined_at"))
        .primary_key(Index::create().col("group_id").col("user_id"))
        .foreign_key(ForeignKey::create().from("group_members", "group_id").to("groups", "group_id"))
        .foreign_key(ForeignKey::create().from("group_members", "user_id").to("users", "user_id"))
        .to_owned()
}

fn roles() -> TableCreateStatement {
    Table::create()
        .table("roles")
        .col(string("role_id").primary_key())
        .col(string("account_id"))
        .col(string("name"))
        .col(text("description"))
        .col(text("trust_policy"))
        .col(big_integer("max_session_seconds"))
        .col(big_integer("created_at"))
        .col(big_integer("changed_at"))
        .foreign_key(ForeignKey::create().from("roles", "account_id").to("accounts", "account_id"))
        .to_owned()
}

/// The session policy is fixed when the session starts; everything else is evaluated when it is used.
fn role_sessions() -> TableCreateStatement {
    Table::create()
        .table("role_sessions")
        .col(string("access_key_id").primary_key())
        .col(string("account_id"))
        .col(string("role_id"))
        .col(string("session_name"))
        .col(text("sealed_secret"))
        .col(string("token_hash"))
        .col(text_null("session_policy"))
        .col(string_null("source_identity"))
        .col(string("assumed_by"))
        .col(big_integer("created_at"))
        .col(big_integer("expires_at"))
        .foreign_key(ForeignKey::create().from("role_sessions", "role_id").to("roles", "role_id"))
        .to_owned()
}

/// Moves the document from `policies` to a version of its own. Version numbers only grow and are never reused.
async fn version_policies(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let versions = Table::create()
        .table("policy_versions")
        .col(string("account_id"))
        .col(string("policy_name"))
        .col(big_integer("version"))
        .col(text("document"))
        .col(big_integer("created_at"))
        .primary_key(Index::create().col("account_id").col("policy_name").col("version"))
        .foreign_key(
            ForeignKey::create()
                .from("policy_versions", ("account_id", "policy_name"))
                .to("policies", ("account_id", "name")),
        )
        .to_owned();
    manager.create_table(versions).await?;
    manager
        .get_connection()
        .execute_unprepared(
            "INSERT INTO policy_versions (account_id, policy_name, version, document, created_at) \
             SELECT account_id, name, 1, document, changed_at FROM policies",
        )
        .await?;
    for column in [
        text("description").default("").to_owned(),
        big_integer("default_version").default(1).to_owned(),
        big_integer("last_version").default(1).to_owned(),
    ] {
        manager.alter_table(Table::alter().table("policies").add_column(column).to_owned()).await?;
    }
    manager.alter_table(Table::alter().table("policies").drop_column("document").to_owned()).await
}

/// One table for all three kinds of target. `target_id` is the key; the same id is also in the column of its kind, so
/// that the database itself keeps anything from being deleted that something is attached to.
async fn widen_attachments(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let attachments = Table::create()
        .table("attachments")
        .col(string("account_id"))
        .col(string("target_id"))
        .col(string("policy_kind"))
        .col(string("policy_name"))
        .col(string_null("user_id"))
        .col(string_null("group_id"))
        .col(string_null("role_id"))
        .col(string_null("custom_policy"))
        .col(big_integer("attached_at"))
        .primary_key(Index::create().col("account_id").col("target_id").col("policy_kind").col("policy_name"))
        .foreign_key(ForeignKey::create().from("attachments", "user_id").to("users", "user_id"))
        .foreign_key(ForeignKey::create().from("attachments", "group_id").to("groups", "group_id"))
        .foreign_key(ForeignKey::create().from("attachments", "role_id").to("roles", "role_id"))
        .foreign_key(
            ForeignKey::create()
                .from("attachments", ("account_id", "custom_policy"))
                .to("policies", ("account_id", "name")),
        )
        .to_owned();
    manager.create_table(attachments).await?;
    manager
        .create_index(plain(
            "attachments_by_policy",
            "attachments",
            &["account_id", "policy_kind", "policy_name"],
        ))
        .await?;
    manager
        .get_connection()
        .execute_unprepared(
            "INSERT INTO attachments (account_id, target_id, policy_kind, policy_name, user_id, custom_policy, \
             attached_at) \
             SELECT a.account_id, a.user_id, 'Custom', a.policy_name, a.user_id, a.policy_name, p.changed_at \
             FROM policy_attachments a JOIN policies p \
             ON p.account_id = a.account_id AND p.name = a.policy_name",
        )
        .await?;
    manager.drop_table(Table::drop().table("policy_attachments").to_owned()).await
}

/// Levels are counted from 1, the nearest to the account; every level must allow.
fn control_policies() -> TableCreateStatement {
    Table::create()
        .table("control_policies")
        .col(string("account_id"))
        .col(string("name"))
        .col(big_integer("level"))
        .col(text("document"))
        .col(big_integer("created_at"))
        .col(big_integer("changed_at"))
        .primary_key(Index::create().col("account_id").col("name"))
        .foreign_key(ForeignKey::create().from("control_policies", "account_id").to("accounts", "account_id"))
        .to_owned()
}

fn plain(name: &'static str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create().name(name).table(table).to_owned();
    for column in columns {
        index.col(*column);
    }
    index
}

fn unique(name: &'static str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    plain(name, table, columns).unique().to_owned()
}
