//! The principals that a trust policy names.

use crate::memory::Held;

/// One principal of a trust policy.
#[derive(Debug)]
pub(crate) enum PrincipalPattern {
    /// `acs:ram::<account>:root`: every user and role of the account.
    Account(Box<str>),
    /// `acs:ram::<account>:user/<name>`
    User { account: Box<str>, name: Box<str> },
    /// `acs:ram::<account>:role/<name>`: every session of the role.
    Role { account: Box<str>, name: Box<str> },
    /// The domain name of a service, or the full ARN of an identity provider.
    Exactly(Box<str>),
}

/// `Principal` of a statement.
#[derive(Debug)]
pub(crate) struct Principals {
    pub(crate) patterns: Box<[PrincipalPattern]>,
    /// The principals as the policy spells them.
    pub(crate) spelled: Box<[Box<str>]>,
}

impl Principals {
    pub(crate) fn include(&self, principal: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(principal))
    }
}

/// The three elements that a `Principal` object may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrincipalKind {
    Ram,
    Service,
    Federated,
}

impl PrincipalKind {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "RAM" => Some(Self::Ram),
            "Service" => Some(Self::Service),
            "Federated" => Some(Self::Federated),
            _ => None,
        }
    }
}

impl PrincipalPattern {
    pub(crate) fn parse(kind: PrincipalKind, text: &str) -> Result<Self, String> {
        if text.contains(['*', '?']) {
            return Err(format!(
                "{text:?} has a wildcard; a trust policy names every account, user, role or service"
            ));
        }
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err(format!("{text:?} is empty or holds a blank; name one principal per list entry"));
        }
        match kind {
            PrincipalKind::Ram => Self::ram(text).ok_or_else(|| {
                format!("{text:?} is not a RAM principal; write acs:ram::<account-id>:root, :user/<name> or :role/<name>")
            }),
            PrincipalKind::Service if text.contains('.') && !text.contains([':', '/']) => Ok(Self::Exactly(text.into())),
            PrincipalKind::Service => {
                Err(format!("{text:?} is not a service; write its domain name, such as ecs.aliyuncs.com"))
            }
            PrincipalKind::Federated => match split(text) {
                Some((_, relative))
                    if ["saml-provider/", "oidc-provider/"]
                        .iter()
                        .any(|prefix| relative.strip_prefix(prefix).is_some_and(|name| !name.is_empty())) =>
                {
                    Ok(Self::Exactly(text.into()))
                }
                _ => Err(format!(
                    "{text:?} is not an identity provider; write acs:ram::<account-id>:saml-provider/<name>"
                )),
            },
        }
    }

    fn ram(text: &str) -> Option<Self> {
        let (account, relative) = split(text)?;
        let account = account.into();
        let plain = |name: &str| !name.is_empty() && !name.contains(['/', ':']);
        match relative.split_once('/') {
            None if relative == "root" => Some(Self::Account(account)),
            Some(("user", name)) if plain(name) => Some(Self::User { account, name: name.into() }),
            Some(("role", name)) if plain(name) => Some(Self::Role { account, name: name.into() }),
            _ => None,
        }
    }

    pub(crate) fn matches(&self, principal: &str) -> bool {
        if let Self::Exactly(wanted) = self {
            return **wanted == *principal;
        }
        let Some((account, relative)) = split(principal) else { return false };
        let (kind, names) = relative.split_once('/').unwrap_or((relative, ""));
        match self {
            Self::Account(wanted) => {
                **wanted == *account && matches!(kind, "root" | "user" | "role" | "assumed-role")
            }
            Self::User { account: wanted, name } => {
                **wanted == *account && kind == "user" && **name == *names
            }
            Self::Role { account: wanted, name } => {
                **wanted == *account
                    && matches!(kind, "role" | "assumed-role")
                    && names.split('/').next() == Some(&**name)
            }
            Self::Exactly(_) => false,
        }
    }
}

/// Returns account and relative-id of `acs:ram::<account>:<relative-id>`, or of the older `acs:sts::` form for role
/// sessions.
fn split(principal: &str) -> Option<(&str, &str)> {
    let rest = principal.strip_prefix("acs:ram::").or_else(|| principal.strip_prefix("acs:sts::"))?;
    let (account, relative) = rest.split_once(':')?;
    let digits = !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some((account, relative))
}

/// The account that `principal` owns, if it is of the form `acs:ram::<account>:root`.
pub(crate) fn account_owned_by(principal: &str) -> Option<&str> {
    match split(principal) {
        Some((account, "root")) if principal.starts_with("acs:ram:") => Some(account),
        _ => None,
    }
}

impl Held for Principals {
    fn held(&self) -> usize {
        self.patterns.held() + self.spelled.held()
    }
}

impl Held for PrincipalPattern {
    fn held(&self) -> usize {
        match self {
            Self::Account(text) | Self::Exactly(text) => text.held(),
            Self::User { account, name } | Self::Role { account, name } => account.held() + name.held(),
        }
    }
}
