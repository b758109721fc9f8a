//! What makes the audit trail evidence: one hash chain for each writer, anchors that bind the chains to each other and
//! to the deployment's keys, exported files, and the verification of all three.
//!
//! A writer is one start of one control plane, or one run of `hansard admin`. Its rows are numbered from 1 without gaps,
//! and each row's chain value is computed from the previous one ([`chain`]). At most once a minute, and only when
//! something changed, a control plane writes an anchor: the head of its own chain and those of all other unfinished
//! writers, signed with a key that is never in the database ([`anchor`]). Every row and every anchor is also written as
//! one line to a file ([`log`]), and the database notes to which file. [`verify`] computes everything again, and reports
//! what was exported and is no longer there.
//!
//! # What somebody who can write to the database cannot hide
//!
//! - A row that was changed, moved, removed or inserted: the chain values no longer follow from each other.
//! - The same with all later chain values computed anew, because chains need no key: the next signed anchor disagrees.
//! - A writer's tail or a whole writer that was removed: its own anchors say how far its chain went, and so do those of
//!   every other control plane that saw it. Anchors are numbered and each names the hash of the previous one, so that a
//!   removed anchor leaves a gap.
//! - Rows added to a finished chain: an orderly end is marked by a signed anchor; after any other end, added rows stay
//!   without an anchor, and are reported as such once they are an hour older than the newest row of all.
//! - Rows that were removed, also old ones: those that were pruned are named by a signed anchor, with the chain value of the
//!   last of them ([`pruning`]), from which the rest of the chain follows.
//! - Rows added to the chain of a running control plane: it remembers its own head, ends the chain there with a signed
//!   anchor, and begins another.
//!
//! # What such a person can hide
//!
//! - Changes to what happened since the last anchor, at most about a minute ago: that tail can be rewritten or removed,
//!   unless it was exported, which takes a fraction of a second.
//! - Restoring the whole database, anchors included, to an earlier state while no control plane runs. Only exported
//!   files or anchors ([`kept_anchors`]) that the attacker cannot reach reveal that; `hansard audit verify` compares
//!   them.
//! - Making the database forget what was exported, and removing the files: their absence is not reported then, but what
//!   they held is in the database, where the chains protect it.
//! - Rows that were pruned, together with the files that hold them, which `hansard audit verify` then misses; what they said
//!   is lost. Ship the files elsewhere before rows are pruned.
//! - With the server keys too, everything, unless exported files are out of reach. Ship them to another machine.
//! - Rows added, with a correctly computed chain, to a writer that was killed and is not yet known to be dead (an hour).

pub(crate) mod anchor;
pub(crate) mod chain;
pub(crate) mod days;
pub(crate) mod event;
pub(crate) mod kept_anchors;
pub(crate) mod line;
pub(crate) mod log;
pub(crate) mod pruning;
pub(crate) mod ranges;
pub(crate) mod verify;
