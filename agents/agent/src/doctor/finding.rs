//! What the doctor found.

use std::collections::BTreeSet;

use serde::Serialize;

/// What a finding means; the worst comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Severity {
    /// Somebody can do something that is not recorded, or take part in what records them.
    WayRound,
    /// It could not be looked at.
    Unchecked,
    /// Good to know, and no way round by itself.
    Note,
}

/// One thing that was found, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// A name that does not change, for programs.
    pub(crate) code: &'static str,
    pub(crate) what: String,
    /// A file and line, an option, or an account's entry.
    pub(crate) place: String,
    pub(crate) why: String,
    /// The setting or command that closes it.
    pub(crate) close: String,
    /// The accounts that it is about; none if it is about all.
    pub(crate) accounts: BTreeSet<String>,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    found: Vec<Finding>,
}

impl Findings {
    /// Adds a finding about an account. Accounts of which the same is true share one.
    pub(crate) fn about(&mut self, account: &str, finding: Finding) {
        let same = |other: &&mut Finding| {
            (other.severity, other.code, &other.place, &other.close)
                == (finding.severity, finding.code, &finding.place, &finding.close)
        };
        match self.found.iter_mut().find(same) {
            Some(other) => {
                other.accounts.insert(account.to_owned());
            }
            None => {
                let accounts = BTreeSet::from([account.to_owned()]);
                self.found.push(Finding { accounts, ..finding });
            }
        }
    }

    pub(crate) fn add(&mut self, finding: Finding) {
        if !self.found.contains(&finding) {
            self.found.push(finding);
        }
    }

    pub(crate) fn note(&mut self, code: &'static str, place: &str, what: &str, why: &str, close: &str) {
        self.add(Finding::new(Severity::Note, code, place, what, why, close));
    }

    pub(crate) fn unchecked(&mut self, code: &'static str, place: &str, what: &str) {
        let why = "ways round may be there that nothing here names";
        let close = "run it as root, with the sshd and the configuration that people reach";
        self.add(Finding::new(Severity::Unchecked, code, place, what, why, close));
    }

    /// The worst first, otherwise as they were found.
    pub(crate) fn sorted(&self) -> Vec<&Finding> {
        let mut sorted: Vec<&Finding> = self.found.iter().collect();
        sorted.sort_by_key(|finding| finding.severity);
        sorted
    }

    pub(crate) fn worst(&self) -> Option<Severity> {
        self.found.iter().map(|finding| finding.severity).min()
    }

    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.found.iter().filter(|finding| finding.severity == severity).count()
    }
}

impl Finding {
    pub(crate) fn new(
        severity: Severity,
        code: &'static str,
        place: &str,
        what: &str,
        why: &str,
        close: &str,
    ) -> Self {
        let [place, what, why, close] = [place, what, why, close].map(str::to_owned);
        Finding { severity, code, what, place, why, close, accounts: BTreeSet::new() }
    }

    pub(crate) fn way_round(code: &'static str, place: &str, what: &str, why: &str, close: &str) -> Self {
        Finding::new(Severity::WayRound, code, place, what, why, close)
    }
}
