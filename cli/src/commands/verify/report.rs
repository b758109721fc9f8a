//! The report of a verification: the exit code, the lines, the JSON.

use recording::{
    ArrivedBefore, ExitStatus, Integrity, Leave, LedgerEntry, Micros, RecordingEnd, SealedInPlace, Signer,
    Standing, Stream, StreamVerification, Timestamp, TrustedKey, Verdict, Verification,
};
use serde_json::{Value, json};

use crate::failure::exit_code;
use crate::signal_name::named_signal;
use crate::table::facts;

/// Where the trust in a key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrustSource {
    /// Keys that the caller holds.
    Given,
    /// The control plane, which enrolled the agent.
    Enrolled,
    /// There is none.
    None,
}

impl TrustSource {
    fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Enrolled => "enrolled",
            Self::None => "none",
        }
    }
}

/// The exit code of a verdict. `--help` has the same table.
pub(crate) fn exit_code_of(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Complete => 0,
        Verdict::ProvenPrefix => exit_code::PROVEN_PREFIX,
        Verdict::Inconsistent => exit_code::INCONSISTENT,
        Verdict::Untrusted => exit_code::UNTRUSTED,
        Verdict::CompleteWithLoss => exit_code::COMPLETE_WITH_LOSS,
        Verdict::Interrupted => exit_code::INTERRUPTED,
        Verdict::Empty => exit_code::EMPTY,
    }
}

const NOT_KNOWN: &str = "unknown: there is no readable start.json";

/// The verification for a person.
pub(crate) fn as_text(verification: &Verification, source: TrustSource) -> String {
    let start = verification.start.as_ref();
    let of_start = |read: fn(&recording::Start) -> String| start.map_or_else(|| NOT_KNOWN.to_owned(), read);
    let totals = verification.totals();
    let mut lines = vec![
        ("Verdict", verification.verdict().to_string()),
        ("Recording", of_start(|start| start.recording.to_string())),
        ("Instance", of_start(|start| start.instance.to_string())),
        ("Account", of_start(|start| start.account.to_string())),
        ("Agent", of_start(|start| start.agent.to_string())),
        ("StartedAt", of_start(|start| start.started_at.to_rfc3339_millis())),
        ("End", end_text(verification.end.as_ref())),
        ("Gaps", totals.gaps().to_string()),
        ("LostBytes", totals.get("lost_bytes").to_string()),
        ("Segments", format!("{} agree", verification.segments())),
        ("Recorder", of_start(|start| format!("{}: {}", start.recorder, start.recorder.meaning()))),
        ("Integrity", verification.integrity.as_str().to_owned()),
        ("Trust", trust_text(verification.signer.as_ref(), source)),
    ];
    match &verification.integrity {
        Integrity::Complete { manifest } => {
            let manifest = format!("manifest-{manifest:04}.json, and everything that it lists is unchanged");
            lines.push(("Manifest", manifest));
        }
        Integrity::ProvenPrefix { up_to, why } => {
            let up_to = up_to.map_or_else(|| "nothing".to_owned(), |at| format!("{at} s"));
            // Without a signature the objects only agree with each other.
            lines.push((if is_signed(verification) { "Proven up to" } else { "Agrees up to" }, up_to));
            lines.push(("Missing", why.clone()));
        }
        Integrity::Inconsistent { object, why } => {
            lines.push(("Object", object.clone()));
            lines.push(("Contradiction", why.clone()));
        }
    }
    // Every entry, whatever the verdict: what is a limit and no loss is known by nothing else.
    for stream in &verification.streams {
        let of_stream =
            |entry: &LedgerEntry| format!("{}, in the stream {}", entry.sentence(), stream.stream);
        lines.extend(stream.ledger.entries().iter().map(|entry| ("Ledger", of_stream(entry))));
    }
    if let Some(signer) = &verification.signer {
        if let Some(in_place) = &signer.in_place {
            lines.push(("Sealed by", in_place_text(&in_place.leave)));
            lines.extend(in_place.leave.arrived.iter().map(|before| ("Arrived before", before_text(before))));
            lines.push(("Successor's key", in_place.leave.successor_sealing_key.to_string()));
            lines.push(("Leave's key", in_place.control_plane_key.to_string()));
        }
        lines.push(("Sealing key", signer.key.to_string()));
    }
    for stream in &verification.streams {
        lines.extend(stream_text(stream).map(|text| ("Not understood", text)));
    }
    let not_checked = |name: &String| ("Not understood", format!("{name}: this version does not check it"));
    lines.extend(verification.not_understood.iter().map(not_checked));
    let not_evidence = &verification.not_evidence;
    lines.extend(not_evidence.names().map(|name| ("Not evidence", name.to_owned())));
    if not_evidence.unnamed() > 0 {
        lines.push(("Not evidence", format!("and {} more", not_evidence.unnamed())));
    }
    facts(lines)
}

/// Who sealed it in the place of its agent, and by whose word.
fn in_place_text(leave: &Leave) -> String {
    format!(
        "agent {}, the successor of its agent, with leave of the control plane given at {}",
        leave.successor,
        shown(leave.issued_at)
    )
}

/// What had arrived of a stream before leave was given. All else was delivered by the successor.
fn before_text(before: &ArrivedBefore) -> String {
    match before.segments.checked_sub(1) {
        Some(last) => {
            format!("the stream {} up to segment {last}; what follows came from the successor", before.stream)
        }
        None => format!("nothing of the stream {}; all of it came from the successor", before.stream),
    }
}

fn in_place_json(in_place: &SealedInPlace) -> Value {
    let SealedInPlace { leave, control_plane_key } = in_place;
    let before = |before: &ArrivedBefore| json!({ "Stream": before.stream, "Segments": before.segments });
    json!({
        "Agent": leave.successor,
        "SealingPublicKey": leave.successor_sealing_key,
        "LeaveGivenAt": leave.issued_at,
        "ControlPlaneKey": control_plane_key,
        "ArrivedBefore": leave.arrived.iter().map(before).collect::<Vec<_>>(),
    })
}

/// What a person has to know about a stream that this version does not fully understand.
fn stream_text(stream: &StreamVerification) -> Option<String> {
    let StreamVerification { stream: name, segments, unknown_events, .. } = stream;
    if !name.is_understood() {
        return Some(format!(
            "the stream {name} by this version: the hashes and the chain of its {segments} segments agree, but their content is unknown"
        ));
    }
    // Every program knows only some of the events in the stream of events.
    let told = *unknown_events > 0 && *name != Stream::Events;
    told.then(|| format!("{unknown_events} events of the stream {name} by this version: they were skipped"))
}

fn is_signed(verification: &Verification) -> bool {
    verification.signer.as_ref().is_some_and(|signer| signer.signed)
}

fn end_text(end: Option<&RecordingEnd>) -> String {
    match end {
        Some(RecordingEnd::Exited(ExitStatus::Code(code))) => format!("exit code {code}"),
        Some(RecordingEnd::Exited(ExitStatus::Signal(signal))) => {
            format!("ended by {}", named_signal(*signal))
        }
        Some(RecordingEnd::Interrupted { reason }) => format!("interrupted: {reason}"),
        None => "unknown: there is no manifest with a valid signature".to_owned(),
    }
}

fn trust_text(signer: Option<&Signer>, source: TrustSource) -> String {
    let Some(signer) = signer else { return format!("{}: its owner is unknown", source.as_str()) };
    let standing = match &signer.standing {
        Standing::Trusted(key) if signer.signed => format!("trusted: {}", by_whose_word(key, source)),
        Standing::Trusted(key) => by_whose_word(key, source),
        Standing::TrustedByLeave(_) => format!("trusted: the control plane gave leave, {}", word_of(source)),
        Standing::Untrusted { why } if source == TrustSource::None => {
            format!("not trusted: {why}; give some with --trust, or accept any key with --any-signer")
        }
        Standing::Untrusted { why } => format!("not trusted: {why}"),
        Standing::NotAsked => {
            "not checked (--any-signer): anybody can make a recording with a key of their own".to_owned()
        }
    };
    if signer.signed {
        standing
    } else {
        format!("no signature was found; the key that start.json names: {standing}")
    }
}

/// An unsigned recording has no signer, whether or not the key that it names is trusted.
fn is_trusted(signer: &Signer) -> bool {
    signer.signed && matches!(signer.standing, Standing::Trusted(_) | Standing::TrustedByLeave(_))
}

fn word_of(source: TrustSource) -> &'static str {
    match source {
        TrustSource::Enrolled => "according to this control plane",
        TrustSource::Given | TrustSource::None => "according to the given keys",
    }
}

fn by_whose_word(key: &TrustedKey, source: TrustSource) -> String {
    let word = word_of(source);
    let Some(enrolment) = &key.enrolment else { return format!("for any instance, {word}") };
    let until = enrolment.until.map_or_else(String::new, |until| format!(" until {}", shown(until)));
    format!("enrolled for {} since {}{until}, {word}", enrolment.instance, shown(enrolment.from))
}

fn shown(at: Timestamp) -> String {
    at.to_rfc3339_seconds()
}

/// The verification for a program.
pub(crate) fn as_json(verification: &Verification, source: TrustSource) -> Value {
    let start = verification.start.as_ref();
    let mut result = json!({
        "Verdict": verification.verdict().as_str(),
        "ExitCode": exit_code_of(verification.verdict()),
        "Recording": start.map(|start| &start.recording),
        "Instance": start.map(|start| &start.instance),
        "Account": start.map(|start| &start.account),
        "Agent": start.map(|start| &start.agent),
        "StartedAt": start.map(|start| start.started_at.to_rfc3339_millis()),
        "End": verification.end.as_ref().map(end_json),
        "Gaps": verification.totals().gaps(),
        "LostBytes": verification.totals().get("lost_bytes"),
        "Segments": verification.segments(),
        "Ledger": verification.streams.iter().flat_map(ledger_json).collect::<Vec<_>>(),
        "Streams": verification.streams.iter().map(stream_json).collect::<Vec<_>>(),
        "Recorder": start.map(|start| start.recorder),
        "Integrity": verification.integrity.as_str(),
        "Trust": source.as_str(),
        "NotUnderstood": verification.not_understood,
        "NotEvidence": verification.not_evidence.names().collect::<Vec<_>>(),
        "NotEvidenceCount": verification.not_evidence.count(),
    });
    match &verification.integrity {
        Integrity::Complete { manifest } => result["Manifest"] = json!(manifest),
        Integrity::ProvenPrefix { up_to, why } => {
            let up_to = up_to.map(Micros::get);
            result[if is_signed(verification) { "ProvenUpToMicros" } else { "AgreesUpToMicros" }] =
                json!(up_to);
            result["Why"] = json!(why);
        }
        Integrity::Inconsistent { object, why } => {
            result["Object"] = json!(object);
            result["Why"] = json!(why);
        }
    }
    if let Some(signer) = &verification.signer {
        result["Signer"] = json!({
            "SealingPublicKey": signer.key,
            "Signed": signer.signed,
            "Trusted": is_trusted(signer),
            "Standing": trust_text(Some(signer), source),
        });
        if let Some(in_place) = &signer.in_place {
            result["SealedInPlaceBy"] = in_place_json(in_place);
        }
    }
    result
}

fn stream_json(stream: &StreamVerification) -> Value {
    json!({
        "Stream": stream.stream,
        "Segments": stream.segments,
        "Understood": stream.stream.is_understood(),
        "UnknownEvents": stream.unknown_events,
    })
}

fn ledger_json(stream: &StreamVerification) -> Vec<Value> {
    let entry = |entry: &LedgerEntry| {
        json!({
            "Stream": stream.stream,
            "Kind": entry.kind,
            "Cause": entry.cause,
            "IsLoss": entry.kind.is_loss(),
            "FirstAtMicros": entry.first_at,
            "LastAtMicros": entry.last_at,
            "Count": entry.count,
            "LostBytes": entry.lost_bytes,
            "LostEvents": entry.lost_events,
            "Reason": entry.reason,
        })
    };
    stream.ledger.entries().iter().map(entry).collect()
}

fn end_json(end: &RecordingEnd) -> Value {
    match end {
        RecordingEnd::Exited(ExitStatus::Code(code)) => json!({ "Kind": "exited", "Code": code }),
        RecordingEnd::Exited(ExitStatus::Signal(signal)) => json!({ "Kind": "exited", "Signal": signal }),
        RecordingEnd::Interrupted { reason } => json!({ "Kind": "interrupted", "Reason": reason }),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use recording::{
        AgentId, Cause, ChainValue, LeaveFormat, NotEvidence, SealingKey, Shortfall, ShortfallKind,
        StreamLedger, Totals,
    };

    use super::*;
    use crate::arguments::Arguments;

    fn signer(standing: Standing) -> Option<Signer> {
        let key = SealingKey::from_seed(&[7; 32]).public_key();
        Some(Signer { agent: AgentId::generate(), key, signed: true, standing, in_place: None })
    }

    fn trusted() -> Standing {
        Standing::Trusted(TrustedKey { key: SealingKey::from_seed(&[7; 32]).public_key(), enrolment: None })
    }

    fn verification(integrity: Integrity, standing: Standing) -> Verification {
        Verification {
            integrity,
            start: None,
            signer: signer(standing),
            streams: streams(3, 0),
            end: Some(RecordingEnd::Exited(ExitStatus::Code(0))),
            not_evidence: NotEvidence::default(),
            not_understood: vec![],
        }
    }

    fn streams(segments: u64, gaps: u64) -> Vec<StreamVerification> {
        let totals = Totals::new([("gaps", gaps)]);
        let ledger = StreamLedger::default();
        vec![StreamVerification { stream: Stream::Terminal, segments, totals, unknown_events: 0, ledger }]
    }

    fn complete() -> Verification {
        verification(Integrity::Complete { manifest: 0 }, trusted())
    }

    #[test]
    fn each_verdict_has_its_exit_code_and_the_first_that_applies_counts() {
        let untrusted = || Standing::Untrusted { why: "x".into() };
        let prefix = || Integrity::ProvenPrefix { up_to: None, why: "x".into() };
        let broken = || Integrity::Inconsistent { object: "start.json".into(), why: "x".into() };
        let interrupted = || Some(RecordingEnd::Interrupted { reason: "x".into() });
        for (checked, code, word) in [
            (complete(), 0, "complete"),
            (Verification { streams: streams(3, 1), ..complete() }, 6, "complete with loss"),
            (Verification { streams: streams(3, 1), end: interrupted(), ..complete() }, 7, "interrupted"),
            (Verification { end: interrupted(), ..complete() }, 7, "interrupted"),
            (Verification { streams: streams(0, 0), end: interrupted(), ..complete() }, 8, "empty"),
            (verification(prefix(), trusted()), 3, "proven prefix"),
            (verification(prefix(), Standing::NotAsked), 3, "proven prefix"),
            (verification(prefix(), untrusted()), 5, "untrusted"),
            (verification(Integrity::Complete { manifest: 0 }, Standing::NotAsked), 0, "complete"),
            (verification(Integrity::Complete { manifest: 0 }, untrusted()), 5, "untrusted"),
            (Verification { streams: streams(0, 0), ..verification(prefix(), untrusted()) }, 5, "untrusted"),
            (verification(broken(), trusted()), 4, "inconsistent"),
            (verification(broken(), untrusted()), 4, "inconsistent"),
            (Verification { signer: None, ..verification(broken(), trusted()) }, 4, "inconsistent"),
        ] {
            assert_eq!(exit_code_of(checked.verdict()), code, "{checked:?}");
            let told = as_json(&checked, TrustSource::Given);
            assert_eq!((&told["ExitCode"], &told["Verdict"]), (&code.into(), &word.into()), "{checked:?}");
            let text = as_text(&checked, TrustSource::Given);
            assert!(text.starts_with("Verdict") && text.lines().next().unwrap().ends_with(word), "{text}");
        }
    }

    #[test]
    fn the_help_has_the_table() {
        let mut command = Arguments::command();
        let recordings = command.find_subcommand_mut("recordings").unwrap();
        let help = recordings.find_subcommand_mut("verify").unwrap().render_long_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for verdict in Verdict::ALL {
            let row = format!("{} {verdict}: ", exit_code_of(verdict));
            assert!(help.contains(&row), "{row:?} in {help}");
        }
        assert!(help.contains("1 it could not be checked; 2 wrong usage"), "{help}");
    }

    #[test]
    fn every_verdict_reports_the_same_facts() {
        let names = [
            "Recording",
            "Instance",
            "Account",
            "Agent",
            "StartedAt",
            "End",
            "Gaps",
            "LostBytes",
            "Segments",
            "Recorder",
            "Integrity",
            "Trust",
        ];
        let broken = Integrity::Inconsistent { object: "start.json".into(), why: "x".into() };
        let nothing = Verification { signer: None, end: None, ..verification(broken, trusted()) };
        for checked in [complete(), nothing] {
            let (text, told) = (as_text(&checked, TrustSource::None), as_json(&checked, TrustSource::None));
            for name in names {
                assert!(text.lines().any(|line| line.starts_with(&format!("{name} "))), "{name} in {text}");
                assert!(told.get(name).is_some(), "{name} in {told}");
            }
        }
    }

    #[test]
    fn every_entry_of_the_ledger_is_reported_whatever_the_verdict() {
        let cause = Cause::new("output_limit");
        for kind in ShortfallKind::ALL {
            let mut checked = complete();
            let shortfall = Shortfall::new(kind, cause.clone(), "\u{1b}[2Jtoo much").with_lost_bytes(5);
            checked.streams[0].ledger.add(Micros::new(2), &shortfall);
            let untrusted = Verification { signer: None, ..checked.clone() };
            for (checked, code) in [(&checked, if kind.is_loss() { 6 } else { 0 }), (&untrusted, 5)] {
                assert_eq!(exit_code_of(checked.verdict()), code);
                let text = as_text(checked, TrustSource::Given);
                let line = text.lines().find(|line| line.starts_with("Ledger ")).unwrap();
                let expected = format!(
                    "{} (output_limit) at 0.000002 s: \\u{{1b}}[2Jtoo much (5 bytes lost), in the stream terminal",
                    kind.words()
                );
                assert!(line.ends_with(&expected), "{line}");
                let told = &as_json(checked, TrustSource::Given)["Ledger"][0];
                assert_eq!(told["Kind"], kind.as_str());
                assert_eq!(told["IsLoss"], kind.is_loss());
                assert_eq!((&told["Count"], &told["LostBytes"]), (&1.into(), &5.into()));
            }
        }
    }

    #[test]
    fn the_report_says_what_this_version_does_not_understand() {
        let mut checked = complete();
        checked.streams[0].unknown_events = 2;
        let audio = Stream::parse("audio").unwrap();
        checked.streams.push(StreamVerification { stream: audio, ..streams(4, 0).remove(0) });
        checked.not_understood.push("heads/000000.json".to_owned());
        let text = as_text(&checked, TrustSource::Given);
        let said: Vec<_> = text.lines().filter(|line| line.starts_with("Not understood")).collect();
        assert_eq!(said.len(), 3, "{text}");
        assert!(said[0].contains("2 events of the stream terminal"), "{text}");
        assert!(
            said[1].contains("the stream audio by this version: the hashes and the chain of its 4 segments"),
            "{text}"
        );
        assert!(said[2].contains("heads/000000.json"), "{text}");
        let told = as_json(&checked, TrustSource::Given);
        assert_eq!(
            (&told["Streams"][1]["Understood"], &told["Segments"]),
            (&false.into(), &7.into()),
            "{told}"
        );
        assert_eq!(told["NotUnderstood"][0], "heads/000000.json");
    }

    #[test]
    fn what_is_not_evidence_is_listed_up_to_a_number_and_changes_no_verdict() {
        let mut checked = complete();
        for number in 0..NotEvidence::MOST_NAMES + 3 {
            checked.not_evidence.add(format!("x{number:02}\u{1b}[2J (a pipe)"));
        }
        let text = as_text(&checked, TrustSource::Given);
        let said: Vec<_> = text.lines().filter(|line| line.starts_with("Not evidence")).collect();
        assert_eq!(said.len(), NotEvidence::MOST_NAMES + 1, "{text}");
        assert!(said[0].ends_with("x00\\u{1b}[2J (a pipe)"), "{text}");
        assert!(said.last().unwrap().ends_with("and 3 more"), "{text}");
        let told = as_json(&checked, TrustSource::Given);
        assert_eq!((&told["ExitCode"], &told["NotEvidenceCount"]), (&0.into(), &23.into()), "{told}");
        assert_eq!(told["NotEvidence"].as_array().unwrap().len(), NotEvidence::MOST_NAMES);
    }

    #[test]
    fn the_report_names_the_successor_that_sealed_and_what_had_arrived_before() {
        let (successor, control_plane) = (SealingKey::from_seed(&[8; 32]), SealingKey::from_seed(&[9; 32]));
        let before =
            |stream, segments| ArrivedBefore { stream, segments, chain: ChainValue::from_bytes([1; 32]) };
        let leave = Leave {
            format: LeaveFormat::V1,
            recording: recording::TerminalSessionToken::generate(),
            account: "1609982529000000".parse().unwrap(),
            instance: "i-web1".parse().unwrap(),
            start: recording::StartReference::of(b"start"),
            agent: AgentId::generate(),
            successor: AgentId::generate(),
            successor_sealing_key: successor.public_key(),
            arrived: vec![before(Stream::Events, 0), before(Stream::Terminal, 3)],
            issued_at: Timestamp::from_millis(1_700_103_579_123),
        };
        let control_plane_key = control_plane.public_key();
        let mut checked =
            verification(Integrity::Complete { manifest: 0 }, Standing::TrustedByLeave(control_plane_key));
        let agent = leave.successor.clone();
        checked.signer.as_mut().unwrap().in_place = Some(SealedInPlace { leave, control_plane_key });
        let text = as_text(&checked, TrustSource::Enrolled);
        let line =
            |name: &str| text.lines().filter(|line| line.starts_with(name)).collect::<Vec<_>>().join("\n");
        assert!(
            line("Sealed by").ends_with(&format!(
                "agent {agent}, the successor of its agent, with leave of the control plane given at 2023-11-16T02:59:39Z"
            )),
            "{text}"
        );
        let arrived = line("Arrived before");
        assert!(
            arrived.contains("nothing of the stream events; all of it came from the successor"),
            "{text}"
        );
        assert!(arrived.contains("the stream terminal up to segment 2; what follows came"), "{text}");
        assert!(
            line("Trust ")
                .ends_with("trusted: the control plane gave leave, according to this control plane"),
            "{text}"
        );
        let told = as_json(&checked, TrustSource::Enrolled);
        let in_place = &told["SealedInPlaceBy"];
        assert_eq!((&in_place["Agent"], &told["Signer"]["Trusted"]), (&json!(agent), &true.into()), "{told}");
        assert_eq!(in_place["ArrivedBefore"][1], json!({"Stream": "terminal", "Segments": 3}));
        assert_eq!(in_place["LeaveGivenAt"], "2023-11-16T02:59:39.123Z");
        assert_eq!(as_json(&complete(), TrustSource::Given)["SealedInPlaceBy"], Value::Null);
    }

    #[test]
    fn an_unsigned_recording_has_no_trusted_signer() {
        let told = as_json(&complete(), TrustSource::Given);
        assert_eq!(
            (&told["Signer"]["Signed"], &told["Signer"]["Trusted"]),
            (&true.into(), &true.into()),
            "{told}"
        );
        let mut unsigned = verification(Integrity::ProvenPrefix { up_to: None, why: "x".into() }, trusted());
        unsigned.signer.as_mut().unwrap().signed = false;
        let told = as_json(&unsigned, TrustSource::Given);
        assert_eq!(
            (&told["Signer"]["Signed"], &told["Signer"]["Trusted"]),
            (&false.into(), &false.into()),
            "{told}"
        );
        let text = as_text(&unsigned, TrustSource::Given);
        let line = text.lines().find(|line| line.starts_with("Trust ")).unwrap();
        assert!(line.ends_with(": for any instance, according to the given keys"), "{line}");
        assert!(line.contains("no signature was found;") && !line.contains("trusted"), "{line}");
    }

    #[test]
    fn text_from_the_objects_is_shown_escaped() {
        let broken = Integrity::Inconsistent { object: "start.json".into(), why: "\u{1b}[2J".into() };
        let why = "no trusted keys are at hand".to_owned();
        let text = as_text(&verification(broken, Standing::Untrusted { why }), TrustSource::None);
        assert!(text.contains("inconsistent") && text.contains("\\u{1b}[2J"), "{text}");
        assert!(text.contains("not trusted: no trusted keys are at hand; give some with --trust"), "{text}");
    }
}
