//! What makes the audit trail evidence: one hash chain for each writer, anchors that bind the chains to each other
//! and to the deployment's keys, exported files, and the check of all three.
//!
//! A writer is one start of one control plane, or one run of `hansard admin`. Its rows are numbered from 1 without a
//! hole, and each row's chain value follows from the one before ([`chain`]). At most once a minute, and only when
//! something changed, a control plane writes an anchor: the head of its own chain and those of all other writers that
//! are not finished, signed with a key that is never in the database ([`anchor`]). Every row and every anchor also
//! stands as one line in a file ([`log`]), and the database notes in which. [`verify`] computes everything again, and
//! misses what was exported and is no longer there.
//!
//! # What somebody who can write to the database cannot hide
//!
//! - A row that was changed, moved, removed or put in between: the chain values no longer follow from each other.
//! - The same with all later chain values computed anew, for chains need no key: the next signed anchor disagrees.
//! - A writer's tail or a whole writer that was removed: its own anchors say how far it was, and so do those of every
//!   other control plane that saw it. Anchors are numbered and each names the hash of the one before, so that one
//!   that was removed leaves a hole.
//! - Rows added to a finished chain: an orderly end is a signed anchor that says so; behind any other end they stay
//!   without an anchor, and are named as such once they are an hour older than the newest of all.
//! - Rows added to the chain of a running control plane: it remembers its own head, ends the chain there, signed, and
//!   begins another.
//!
//! # What it can
//!
//! - What happened since the last anchor, at most about a minute ago: that tail can be rewritten or removed, unless it
//!   was exported, which takes a fraction of a second.
//! - Put the whole database back to an earlier state while no control plane runs, anchors and all. Only exported
//!   files or anchors ([`kept_anchors`]) that the attacker does not reach tell that; `hansard audit verify` compares
//!   them.
//! - Make the database forget what was exported, and remove the files: nobody misses them then, and what they held is
//!   in the database, where the chains keep it.
//! - With the server keys too, everything, except against exported files out of reach. Ship them to another machine.
//! - Rows added, with a well computed chain, to a writer that was killed and is not yet known to be dead (an hour).

pub(crate) mod anchor;
pub(crate) mod chain;
pub(crate) mod days;
pub(crate) mod event;
pub(crate) mod kept_anchors;
pub(crate) mod line;
pub(crate) mod log;
pub(crate) mod ranges;
pub(crate) mod verify;
