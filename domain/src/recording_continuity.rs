//! Checks whether all recordings of an agent exist, by comparing three sources: the audit trail, which has each opening
//! and each seal; the agent, which numbers its recordings and names in each the manifest that it had sealed before; and
//! the rows and objects themselves.
//!
//! A missing recording is one of two. It is *gone* if something shows that it existed: the audit trail, its own row, or
//! a later recording that names its manifest. It has *not arrived* if only its number is missing: the agent used the
//! number, and the recording is unknown here. It may still be in the agent's spool, or have been refused at its start.

use std::collections::{BTreeMap, BTreeSet};

use recording::ContentHash;

use crate::{TerminalSessionToken, Timestamp};

/// Holes wider than this are one finding: an agent can claim any numbers, and each finding is a row and an event.
const WIDEST_HOLE: u64 = 10;

/// Which objects exist of a recording that has a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Its first object is there, its segments by their number and size, and its manifest when it is sealed.
    There,
    /// Its first object, which is written before the row, is not there.
    NoStart,
    /// It is sealed, and its manifest or the signature of that, which are written before, is not there.
    NoManifest,
    /// Not all segments are there that were claimed, or they have another size.
    NotAllSegments,
    /// The store could not say.
    Unknown,
}

/// A recording that has a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRecording {
    /// Its token.
    pub token: TerminalSessionToken,
    /// The agent's number for it, where it is known.
    pub number: Option<u64>,
    /// SHA-256 of the manifest that sealed it.
    pub manifest: Option<ContentHash>,
    /// The manifests that it names as sealed before it: at its start, and in its own manifest.
    pub follows: Vec<ContentHash>,
    /// What is at hand.
    pub evidence: Evidence,
    /// When the control plane first heard of it.
    pub opened_at: Timestamp,
    /// When something last arrived.
    pub last_heard_at: Timestamp,
}

/// A recording that the audit trail knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedRecording {
    /// Its token.
    pub token: TerminalSessionToken,
    /// The agent's number for it, where the trail has it.
    pub number: Option<u64>,
    /// When the trail first speaks of it.
    pub at: Timestamp,
    /// Whether the trail has its seal.
    pub sealed: bool,
    /// SHA-256 of the manifest that sealed it, where the trail has it.
    pub manifest: Option<ContentHash>,
}

/// What is known of an agent's recordings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentRecordings {
    /// Those that have a row.
    pub known: Vec<KnownRecording>,
    /// Those that the audit trail knows, each once.
    pub audited: Vec<AuditedRecording>,
    /// Numbers that are remembered of recordings that have no row any more.
    pub remembered: BTreeMap<TerminalSessionToken, u64>,
}

/// How certain it is that a recording is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Absence {
    /// Only a number is missing.
    NotArrived,
    /// Something shows that it existed.
    Gone,
}

impl Absence {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::NotArrived, Self::Gone];

    /// The word on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotArrived => "NotArrived",
            Self::Gone => "Gone",
        }
    }
}

/// A recording, or several, that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingRecording {
    /// What it is known by; the same for as long as it is missing.
    pub key: String,
    /// How sure it is.
    pub absence: Absence,
    /// Its token, where it is known.
    pub token: Option<TerminalSessionToken>,
    /// Its number, or the first and the last of a wide hole.
    pub numbers: Option<(u64, u64)>,
    /// Since when it is known.
    pub since: Timestamp,
    /// Why it should be there, in a sentence.
    pub why: String,
}

/// Everything of an agent that should exist and does not, the most certain first.
#[must_use]
pub fn missing_recordings(of: &AgentRecordings) -> Vec<MissingRecording> {
    let rows: BTreeMap<&TerminalSessionToken, &KnownRecording> =
        of.known.iter().map(|known| (&known.token, known)).collect();
    let audited: BTreeMap<&TerminalSessionToken, &AuditedRecording> =
        of.audited.iter().map(|audited| (&audited.token, audited)).collect();
    let number_of = |token: &TerminalSessionToken| {
        let of_trail = audited.get(token).and_then(|audited| audited.number);
        let of_row = rows.get(token).and_then(|row| row.number);
        of_trail.or(of_row).or_else(|| of.remembered.get(token).copied())
    };
    let mut gone: BTreeMap<&TerminalSessionToken, MissingRecording> = BTreeMap::new();
    for audited in &of.audited {
        let why = match rows.get(&audited.token) {
            None => {
                let seal = if audited.sealed { " and its seal" } else { "" };
                format!("the audit trail has its opening{seal}, but it has no row any more")
            }
            Some(row) if audited.sealed && row.manifest.is_none() => {
                "the audit trail has its seal, but its row does not".to_owned()
            }
            Some(row) if audited.manifest.is_some() && audited.manifest != row.manifest => {
                "the audit trail and its row name different manifests that sealed it".to_owned()
            }
            Some(_) => continue,
        };
        let token = &audited.token;
        gone.insert(token, of_token(token, number_of(token), audited.at, why));
    }
    for row in &of.known {
        let why = match row.evidence {
            Evidence::There | Evidence::Unknown => continue,
            Evidence::NoStart => "it has a row, but its start.json is not in the bucket any more",
            Evidence::NoManifest => {
                "it is sealed, but its manifest or the signature is not in the bucket any more"
            }
            Evidence::NotAllSegments => "not all of its segments are in the bucket as they were accepted",
        };
        let missing = || of_token(&row.token, number_of(&row.token), row.opened_at, why.to_owned());
        gone.entry(&row.token).or_insert_with(missing);
    }
    let mut gone: Vec<MissingRecording> = gone.into_values().collect();
    gone.sort_by_key(|missing| (missing.numbers, missing.since));
    let mut holes = holes(of);
    let unnamed = gone.iter().filter(|gone| gone.numbers.is_none()).count() as u64;
    let missing: u64 = holes.iter().map(|(first, last, _)| last - first + 1).sum();
    if missing <= unnamed {
        // Those of recordings that are gone, and whose numbers nobody knows.
        holes.clear();
    }
    for (manifest, since, namer) in unknown_manifests(of, &gone) {
        let why = format!(
            "recording {namer} names the manifest {manifest} as sealed before it, but no recording has it"
        );
        // One that is missing, and one manifest that nobody has: the same.
        let numbers = match holes[..] {
            [(first, last, _)] if first == last => Some((first, last)),
            _ => None,
        };
        if numbers.is_some() {
            holes.clear();
        }
        let key = format!("manifest {manifest}");
        gone.push(MissingRecording { key, absence: Absence::Gone, token: None, numbers, since, why });
    }
    gone.extend(holes.into_iter().map(|(first, last, since)| MissingRecording {
        key: format!("number {first}"),
        absence: Absence::NotArrived,
        token: None,
        numbers: Some((first, last)),
        since,
        why: "the agent gave this number to a recording, and later ones arrived".to_owned(),
    }));
    gone
}

fn of_token(
    token: &TerminalSessionToken,
    number: Option<u64>,
    since: Timestamp,
    why: String,
) -> MissingRecording {
    MissingRecording {
        key: format!("recording {token}"),
        absence: Absence::Gone,
        token: Some(token.clone()),
        numbers: number.map(|number| (number, number)),
        since,
        why,
    }
}

/// The numbers below the highest that no recording has, with the moment at which one above them was known.
fn holes(of: &AgentRecordings) -> Vec<(u64, u64, Timestamp)> {
    let mut numbers: BTreeMap<u64, Timestamp> = BTreeMap::new();
    let mut note = |number: Option<u64>, at: Timestamp| {
        if let Some(number) = number.filter(|number| *number > 0) {
            let known = numbers.entry(number).or_insert(at);
            *known = at.min(*known);
        }
    };
    for known in &of.known {
        note(known.number, known.opened_at);
    }
    for audited in &of.audited {
        note(audited.number, audited.at);
        note(of.remembered.get(&audited.token).copied(), audited.at);
    }
    let mut holes = Vec::new();
    let (mut next, mut since) = (None::<u64>, Timestamp::from_millis(i64::MAX));
    // From the highest down, so that the earliest moment of all above is known.
    for (&number, &at) in numbers.iter().rev() {
        if let Some(above) = next {
            hole(&mut holes, number + 1, above - 1, since);
        }
        since = since.min(at);
        next = Some(number);
    }
    if let Some(lowest) = next {
        hole(&mut holes, 1, lowest - 1, since);
    }
    holes.reverse();
    holes
}

fn hole(holes: &mut Vec<(u64, u64, Timestamp)>, first: u64, last: u64, since: Timestamp) {
    if first > last {
        return;
    }
    if last - first < WIDEST_HOLE {
        holes.extend((first..=last).rev().map(|number| (number, number, since)));
    } else {
        holes.push((first, last, since));
    }
}

/// The manifests that a recording names as sealed before it and that nobody has, with who names them.
fn unknown_manifests(
    of: &AgentRecordings,
    gone: &[MissingRecording],
) -> Vec<(ContentHash, Timestamp, String)> {
    let of_rows = of.known.iter().filter_map(|known| known.manifest);
    let of_trail = of.audited.iter().filter_map(|audited| audited.manifest);
    let manifests: BTreeSet<ContentHash> = of_rows.chain(of_trail).collect();
    let mut unknown: BTreeMap<ContentHash, &KnownRecording> = BTreeMap::new();
    for namer in &of.known {
        for named in namer.follows.iter().filter(|named| !manifests.contains(named)) {
            let earliest = unknown.entry(*named).or_insert(namer);
            if namer.opened_at < earliest.opened_at {
                *earliest = namer;
            }
        }
    }
    // Of older rows the trail has a seal and not the manifest: that is what is named.
    let gone: BTreeSet<_> = gone.iter().filter_map(|gone| gone.token.as_ref()).collect();
    let sealed_and_gone = of
        .audited
        .iter()
        .filter(|audited| audited.sealed && audited.manifest.is_none() && gone.contains(&audited.token));
    // And a seal may be on its way: of another recording, from which nothing came since.
    let mut unsealed: Vec<_> = of.known.iter().filter(|row| row.manifest.is_none()).collect();
    unsealed.sort_by_key(|row| row.last_heard_at);
    let on_its_way = |namer: &KnownRecording| {
        // Of the two that are silent the longest, one is not the namer.
        let mut silent = unsealed.iter().take(2).filter(|row| row.token != namer.token);
        silent.any(|row| row.last_heard_at <= namer.last_heard_at)
    };
    let unexplained: Vec<_> = unknown.iter().filter(|(_, namer)| !on_its_way(namer)).collect();
    if unexplained.len() <= sealed_and_gone.count() {
        return Vec::new();
    }
    let shown = |namer: &KnownRecording| match namer.number {
        Some(number) => format!("{number} ({})", namer.token),
        None => namer.token.to_string(),
    };
    unexplained.into_iter().map(|(manifest, namer)| (*manifest, namer.opened_at, shown(namer))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + i64::try_from(seconds).unwrap() * 1_000)
    }

    fn token(number: u64) -> TerminalSessionToken {
        TerminalSessionToken::parse(&format!("{number:032x}")).unwrap()
    }

    fn manifest(number: u64) -> ContentHash {
        ContentHash::parse(&format!("{number:064x}")).unwrap()
    }

    /// Recordings 1 to `last`, each sealed before the next begins, with their openings and seals in the trail.
    fn all(last: u64) -> AgentRecordings {
        let known = |number| KnownRecording {
            token: token(number),
            number: Some(number),
            manifest: Some(manifest(number)),
            follows: (number > 1).then(|| manifest(number - 1)).into_iter().collect(),
            evidence: Evidence::There,
            opened_at: at(number * 100),
            last_heard_at: at(number * 100 + 50),
        };
        let audited = |number| AuditedRecording {
            token: token(number),
            number: Some(number),
            at: at(number * 100),
            sealed: true,
            manifest: Some(manifest(number)),
        };
        AgentRecordings {
            known: (1..=last).map(known).collect(),
            audited: (1..=last).map(audited).collect(),
            remembered: BTreeMap::new(),
        }
    }

    type Found = (Absence, String, Option<(u64, u64)>);

    fn found(of: &AgentRecordings) -> Vec<Found> {
        let of = missing_recordings(of).into_iter();
        of.map(|missing| (missing.absence, missing.key, missing.numbers)).collect()
    }

    fn gone(number: u64) -> Found {
        (Absence::Gone, format!("recording {}", token(number)), Some((number, number)))
    }

    fn not_arrived(first: u64, last: u64) -> Found {
        (Absence::NotArrived, format!("number {first}"), Some((first, last)))
    }

    #[test]
    fn what_is_all_there_has_no_finding() {
        assert_eq!(found(&AgentRecordings::default()), []);
        assert_eq!(found(&all(5)), []);
    }

    #[test]
    fn a_row_that_was_deleted_is_gone_wherever_it_stood() {
        for number in [1, 3, 5] {
            let mut of = all(5);
            of.known.retain(|known| known.number != Some(number));
            assert_eq!(found(&of), [gone(number)]);
            // Of a trail that does not have numbers and manifests yet.
            for audited in &mut of.audited {
                (audited.number, audited.manifest) = (None, None);
            }
            let (absence, key, _) = gone(number);
            assert_eq!(found(&of), [(absence, key, None)]);
            of.remembered.insert(token(number), number);
            assert_eq!(found(&of), [gone(number)]);
        }
    }

    #[test]
    fn objects_that_were_deleted_are_gone() {
        for evidence in [Evidence::NoStart, Evidence::NoManifest] {
            let mut of = all(3);
            of.known[1].evidence = evidence;
            assert_eq!(found(&of), [gone(2)]);
            // Both, the row too.
            of.known.remove(1);
            assert_eq!(found(&of), [gone(2)]);
        }
        let mut of = all(3);
        of.known[1].evidence = Evidence::Unknown;
        assert_eq!(found(&of), []);
    }

    #[test]
    fn a_row_that_was_put_back_or_sealed_anew_is_gone() {
        let mut of = all(3);
        of.known[2].manifest = None;
        assert_eq!(found(&of), [gone(3)]);
        of.known[2].manifest = Some(manifest(9));
        assert_eq!(found(&of), [gone(3)]);
    }

    #[test]
    fn without_the_trail_a_later_manifest_knows_it() {
        let mut of = all(5);
        of.known.remove(2);
        of.audited.remove(2);
        assert_eq!(found(&of), [(Absence::Gone, format!("manifest {}", manifest(3)), Some((3, 3)))]);
        of.known.remove(0);
        of.audited.remove(0);
        let manifests = [1, 3].map(|number| (Absence::Gone, format!("manifest {}", manifest(number)), None));
        let [first, third] = manifests;
        assert_eq!(found(&of), [first, third, not_arrived(1, 1), not_arrived(3, 3)]);
    }

    #[test]
    fn only_a_number_that_is_missing_has_not_arrived() {
        let mut of = all(5);
        of.known.remove(3);
        of.audited.remove(3);
        of.known[3].follows.clear();
        let missing = missing_recordings(&of);
        assert_eq!(found(&of), [not_arrived(4, 4)]);
        assert_eq!(missing[0].since, at(500), "since a later one arrived");
        of.known.remove(0);
        of.audited.remove(0);
        of.known[0].follows.clear();
        assert_eq!(found(&of), [not_arrived(1, 1), not_arrived(4, 4)]);
        // What an agent claims costs nothing.
        of.known[2].number = Some(u64::MAX);
        of.audited[2].number = None;
        assert_eq!(found(&of), [not_arrived(1, 1), not_arrived(4, u64::MAX - 1)]);
    }

    #[test]
    fn running_recordings_are_no_finding() {
        let mut of = all(4);
        // One that runs beside the others, and one that was sealed by the agent and whose seal is on its way.
        for number in [1, 3] {
            of.known[number].manifest = None;
            of.audited[number].sealed = false;
            of.audited[number].manifest = None;
        }
        of.known[1].last_heard_at = at(9_000);
        of.known[2].follows = vec![manifest(1)];
        assert_eq!(found(&of), []);
        let mut of = all(3);
        of.known[1].manifest = None;
        of.audited[1].sealed = false;
        of.audited[1].manifest = None;
        assert_eq!(found(&of), [], "the third names what the second's seal will bring");
    }
}
