//! The root account and its access key: preset, kept from an earlier start, or generated once.

use std::path::Path;

use domain::access_key::AccessKeySecret;
use domain::identity::{AccessKeyId, generate_account_id};
use domain::{AccountId, Timestamp};
use persistence::Store;
use serde::Deserialize;

use crate::deployment::DataDirectory;
use crate::failure::{Failure, chain};
use crate::private_file::{self, Existing};
use crate::settings::RootPreset;

/// What is known about the root's access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RootKey {
    /// An operator preset it.
    Preset(RootPreset),
    /// It was generated, and is stored in the data directory.
    Kept(RootPreset),
    /// The account was created elsewhere, with a key that is not stored here.
    Elsewhere(AccountId),
}

impl RootKey {
    /// The account.
    pub(crate) fn account(&self) -> &AccountId {
        match self {
            Self::Preset(root) | Self::Kept(root) => &root.account,
            Self::Elsewhere(account) => account,
        }
    }
}

/// The file's text. Unknown members are refused, so that a typing error is not taken for another key.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct KeptText {
    account_id: String,
    access_key_id: String,
    access_key_secret: String,
}

/// Finds or makes the root, and makes sure that the database knows it.
///
/// # Errors
/// The stored file is malformed, the database refuses, or it holds only other accounts: a second account would hide
/// what was recorded for the first.
pub(crate) async fn ensure(
    preset: Option<RootPreset>,
    data: &DataDirectory,
    store: &Store,
    now: Timestamp,
) -> Result<RootKey, Failure> {
    let path = data.root_access_key();
    let known = store.all_accounts().await.map_err(|error| Failure::failed(chain(&error)))?;
    let root = match preset {
        Some(preset) => RootKey::Preset(preset),
        None => match find(&path)? {
            Some(kept) => RootKey::Kept(kept),
            None => match known.first() {
                Some(account) => return Ok(RootKey::Elsewhere(account.clone())),
                None => RootKey::Kept(generate(&path)?),
            },
        },
    };
    if !known.is_empty() && !known.contains(root.account()) {
        return Err(of_another_account(&root, &known, &path));
    }
    if let RootKey::Preset(key) | RootKey::Kept(key) = &root {
        store
            .ensure_root(&key.account, &key.access_key_id, &key.access_key_secret, now)
            .await
            .map_err(|error| Failure::failed(format!("the root access key: {}", chain(&error))))?;
    }
    Ok(root)
}

/// The root's other active access keys. Presetting another key does not disable one.
///
/// # Errors
/// The database refuses.
pub(crate) async fn others(root: &RootKey, store: &Store) -> Result<Vec<AccessKeyId>, Failure> {
    let (RootKey::Preset(own) | RootKey::Kept(own)) = root else { return Ok(Vec::new()) };
    let keys = store.active_root_keys(&own.account).await.map_err(|error| Failure::failed(chain(&error)))?;
    Ok(keys.into_iter().filter(|id| *id != own.access_key_id).collect())
}

fn of_another_account(root: &RootKey, known: &[AccountId], path: &Path) -> Failure {
    let known: Vec<_> = known.iter().map(AccountId::as_str).collect();
    let (account, known) = (root.account(), known.join(", "));
    Failure::usage(match root {
        RootKey::Kept(_) => format!(
            "{} is of the account {account}, but the database holds {known}; move the file away, or name another \
             database or --data-dir",
            path.display()
        ),
        RootKey::Preset(_) | RootKey::Elsewhere(_) => format!(
            "the root account is preset as {account}, but the database holds {known}; set HANSARD_ROOT_ACCOUNT_ID \
             to that, or name another database or --data-dir"
        ),
    })
}

/// Reads the kept key; `None` when there is none.
///
/// # Errors
/// The file is malformed. What it holds is not repeated.
pub(crate) fn find(path: &Path) -> Result<Option<RootPreset>, Failure> {
    let Some(text) = private_file::find(path, "root access key")? else { return Ok(None) };
    let malformed = || {
        Failure::usage(format!(
            "{} is not a root access key: it has account-id, access-key-id and access-key-secret",
            path.display()
        ))
    };
    let kept: KeptText = toml::from_str(&text).map_err(|_| malformed())?;
    if kept.access_key_secret.is_empty() {
        return Err(malformed());
    }
    Ok(Some(RootPreset {
        account: AccountId::parse(&kept.account_id).map_err(|_| malformed())?,
        access_key_id: AccessKeyId::parse(&kept.access_key_id).map_err(|_| malformed())?,
        access_key_secret: AccessKeySecret::new(kept.access_key_secret),
    }))
}

fn generate(path: &Path) -> Result<RootPreset, Failure> {
    let root = RootPreset {
        account: generate_account_id(),
        access_key_id: AccessKeyId::generate(),
        access_key_secret: AccessKeySecret::generate(),
    };
    let text = format!(
        "# The access key of the account's root, which may do everything. Generated at the first start.\n\
         account-id = \"{}\"\naccess-key-id = \"{}\"\naccess-key-secret = \"{}\"\n",
        root.account,
        root.access_key_id,
        root.access_key_secret.reveal()
    );
    private_file::write(path, &text, Existing::Refuse)?;
    Ok(root)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_generated_key_is_kept_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root-access-key.toml");
        assert_eq!(find(&path).unwrap(), None);
        let made = generate(&path).unwrap();
        assert_eq!(find(&path).unwrap().as_ref(), Some(&made));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(!format!("{made:?}").contains(made.access_key_secret.reveal()));
    }

    #[test]
    fn a_malformed_file_is_named_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root-access-key.toml");
        for text in [
            "hunter2",
            "account-id = \"1000000000000001\"\naccess-key-id = \"a\"\n",
            "account-id = \"hunter2\"\naccess-key-id = \"a\"\naccess-key-secret = \"b\"\n",
            "account-id = \"1000000000000001\"\naccess-key-id = \"a\"\naccess-key-secret = \"b\"\nhunter2 = \"c\"\n",
        ] {
            private_file::write(&path, text, Existing::Replace).unwrap();
            let failure = find(&path).unwrap_err();
            assert!(failure.message().contains("is not a root access key"), "{failure}");
            assert!(!failure.message().contains("hunter2"), "{failure}");
        }
    }
}
