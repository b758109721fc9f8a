//! Documents that are not stored, assembled into the layers of a principal.

use std::fmt;
use std::sync::Arc;

use crate::document::PolicyDocument;
use crate::evaluate::Layers;
use crate::invalid::InvalidPolicy;
use crate::policy_set::PolicySet;
use crate::principal::account_owned_by;
use crate::statement::DocumentKind;

/// A document with the name under which decisions show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// What to call it.
    pub name: String,
    /// The document.
    pub text: Vec<u8>,
}

/// The documents of a principal, by layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drafts {
    /// The identity policies.
    pub identity: Vec<Draft>,
    /// The policy of the session, if there is one.
    pub session: Option<Draft>,
    /// The control policies, all of one level.
    pub control: Vec<Draft>,
    /// The trust policy of the role that is to be assumed, if there is one.
    pub trust: Option<Draft>,
}

/// A draft that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidDraft {
    /// Which one.
    pub name: String,
    /// What is wrong.
    pub refused: InvalidPolicy,
}

impl fmt::Display for InvalidDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.refused)
    }
}

impl Drafts {
    /// Whether there is no document at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.identity.is_empty() && self.session.is_none() && self.control.is_empty() && self.trust.is_none()
    }

    /// The layers of a principal that has these documents and no others. `acs:ram::<account>:root` is taken as the
    /// owner of that account, whom no policy binds.
    ///
    /// # Errors
    /// The first document that is refused.
    pub fn layers(&self, principal: &str) -> Result<Layers, InvalidDraft> {
        let none = Layers { owner: account_owned_by(principal).is_some(), ..Layers::default() };
        self.beside(none)
    }

    /// The layers of a principal that has these documents in addition to those of `present`: more identity policies,
    /// one more level of control policies, and this session and trust policy where `present` has none.
    ///
    /// # Errors
    /// The first document that is refused.
    pub fn beside(&self, present: Layers) -> Result<Layers, InvalidDraft> {
        let Layers { owner, mut control, session, identity, trust } = present;
        let single = |draft: &Option<Draft>, kind| {
            draft.as_ref().map(|draft| Ok(PolicySet::new(vec![compiled(draft, kind)?]))).transpose()
        };
        let mut documents = identity.policies().to_vec();
        for draft in &self.identity {
            documents.push(compiled(draft, DocumentKind::Identity)?);
        }
        if !self.control.is_empty() {
            let level = self.control.iter().map(|draft| compiled(draft, DocumentKind::Control));
            control.push(PolicySet::new(level.collect::<Result<_, _>>()?));
        }
        Ok(Layers {
            owner,
            control,
            session: single(&self.session, DocumentKind::Session)?.or(session),
            identity: PolicySet::new(documents),
            trust: single(&self.trust, DocumentKind::Trust)?.or(trust),
        })
    }
}

type Named = (Arc<str>, Arc<PolicyDocument>);

fn compiled(draft: &Draft, kind: DocumentKind) -> Result<Named, InvalidDraft> {
    match PolicyDocument::parse(&draft.text, kind) {
        Ok(document) => Ok((draft.name.as_str().into(), Arc::new(document))),
        Err(refused) => Err(InvalidDraft { name: draft.name.clone(), refused }),
    }
}
