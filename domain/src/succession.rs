//! Succession: the agent of an instance delivers what an earlier agent of that instance has recorded and left behind.
//!
//! INVARIANT: a recording has one holder ([`Recording::holder`]), and only an agent that is retired loses a recording to
//! another. So an agent that finds another holder under the recording's lock has been retired meanwhile, and nothing that
//! it still sends is accepted.

use recording::{AgentId, ArrivedBefore, ContentHash, Start};

use crate::Timestamp;
use crate::agent::Agent;
use crate::recording_life::{ArrivedStream, Recording, RecordingState};

/// That an agent delivers a recording in the place of the one that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    /// The agent that does. Of several in a row, the last.
    pub successor: AgentId,
    /// When it was given leave.
    pub at: Timestamp,
    /// What had arrived of each stream by then.
    pub arrived: Vec<ArrivedBefore>,
}

impl Succession {
    /// This agent takes a recording over, of whose streams so much has arrived.
    #[must_use]
    pub fn new(successor: AgentId, arrived: &[ArrivedStream], at: Timestamp) -> Self {
        let before = |stream: &ArrivedStream| ArrivedBefore {
            stream: stream.stream,
            segments: stream.segments,
            chain: stream.chain,
        };
        Self { successor, at, arrived: arrived.iter().map(before).collect() }
    }
}

/// An agent may not take a recording over. Each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuccessionRefused {
    /// It made the recording itself.
    #[error(
        "start.json names the agent that calls: it opens its own recordings with POST /agent/v1/recordings"
    )]
    OwnRecording,
    /// The recording is of another account.
    #[error(
        "start.json: account is not the account of the agent that calls; an agent of that account delivers it"
    )]
    OtherAccount,
    /// The recording is of another instance.
    #[error(
        "start.json: instance is not the instance of the agent that calls; only an agent of that instance can take it over"
    )]
    OtherInstance,
    /// No agent of this instance ever had that id.
    #[error(
        "start.json: agent was never enrolled for this instance here; export the recording with `hansard-agent export`"
    )]
    UnknownAgent,
    /// The agent that made it is not retired.
    #[error(
        "start.json: agent is the agent of its instance still; it delivers the recording itself, or is removed first"
    )]
    StillEnrolled,
    /// The agent sealed with another key.
    #[error(
        "start.json: agent_sealing_key is not the key that its agent had enrolled with; export the recording with `hansard-agent export`"
    )]
    OtherKey,
    /// Who calls has not shown that it has that key.
    #[error(
        "Proof is not the signature of the key that start.json names, for this start.json and the agent that calls; prove it with the sealing key that the earlier agent left behind"
    )]
    NotProven,
    /// The token stands for something else.
    #[error(
        "the TerminalSessionToken stands for a recording with another start.json; send the one that the earlier agent had written"
    )]
    OtherStart,
}

impl SuccessionRefused {
    /// Whether this agent, which is the one of its instance, may take over what `made_by` has begun so. The proof that it has
    /// the key of that agent is not checked here.
    ///
    /// # Errors
    /// Says what is in the way.
    pub fn check(start: &Start, made_by: Option<&Agent>, successor: &Agent) -> Result<(), Self> {
        if start.account != successor.account {
            return Err(Self::OtherAccount);
        }
        if start.instance != successor.instance {
            return Err(Self::OtherInstance);
        }
        if start.agent == successor.id {
            return Err(Self::OwnRecording);
        }
        let of_here = |agent: &&Agent| (&agent.account, &agent.instance) == (&start.account, &start.instance);
        // Nothing is told of the agents of others.
        let made_by = made_by.filter(of_here).ok_or(Self::UnknownAgent)?;
        if made_by.retired.is_none() {
            return Err(Self::StillEnrolled);
        }
        if made_by.sealing_key != start.agent_sealing_key.as_bytes() {
            return Err(Self::OtherKey);
        }
        Ok(())
    }
}

/// What a take-over does to a recording that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakeOver {
    /// From now on the successor delivers it: the recording as it becomes.
    Begins(Box<Recording>),
    /// The successor delivers it already.
    Goes(Box<Recording>),
    /// Nothing is left to be delivered, because a manifest has sealed it: all of its evidence is in the bucket.
    Sealed(Box<Recording>),
}

impl TakeOver {
    /// Decides the take-over of a recording, of whose streams so much has arrived, by an agent that may do so
    /// ([`SuccessionRefused::check`]). What was interrupted or closed goes on.
    ///
    /// # Errors
    /// [`SuccessionRefused::OtherStart`].
    pub fn decide(
        mut recording: Recording,
        arrived: &[ArrivedStream],
        start_sha256: ContentHash,
        successor: &AgentId,
        now: Timestamp,
    ) -> Result<Self, SuccessionRefused> {
        if recording.start_sha256 != start_sha256 {
            return Err(SuccessionRefused::OtherStart);
        }
        match recording.state {
            RecordingState::Sealed { ended_at, end } | RecordingState::Delivered { ended_at, end } => {
                recording.state = RecordingState::Delivered { ended_at, end };
                return Ok(Self::Sealed(Box::new(recording)));
            }
            RecordingState::Open if recording.holder() == successor => {
                return Ok(Self::Goes(Box::new(recording)));
            }
            RecordingState::Open | RecordingState::Abandoned { .. } | RecordingState::Closed { .. } => {}
        }
        // Asked again, the same leave is given: what has arrived since then is the successor's own.
        if recording.holder() != successor {
            recording.succession = Some(Succession::new(successor.clone(), arrived, now));
        }
        recording.state = RecordingState::Open;
        recording.last_heard_at = now;
        Ok(Self::Begins(Box::new(recording)))
    }
}

#[cfg(test)]
mod tests {
    use recording::{CaptureKind, ChainValue, DocumentFormat, Micros, Recorder, SealingKey, Stream};

    use super::*;
    use crate::agent::Retired;
    use crate::expiration::ExpirationDays;
    use crate::recording_life::{Arrived, SessionEnd};
    use crate::storage_target::RecordStorageTarget;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn agent(key: &SealingKey, retired: Option<Retired>) -> Agent {
        Agent {
            id: AgentId::generate(),
            account: "1609982529000000".parse().unwrap(),
            instance: "i-web1".parse().unwrap(),
            region: "cn-hangzhou".parse().unwrap(),
            authentication_key: vec![1; 32],
            sealing_key: key.public_key().as_bytes().to_vec(),
            hostname: String::new(),
            version: String::new(),
            capabilities: Vec::new(),
            enrolled_at: at(1),
            last_seen_at: at(1),
            retired,
        }
    }

    fn start_of(agent: &Agent, key: &SealingKey) -> Start {
        Start {
            format: DocumentFormat::V1,
            recording: recording::TerminalSessionToken::generate(),
            kind: CaptureKind::Terminal,
            account: agent.account.clone(),
            instance: agent.instance.clone(),
            agent: agent.id.clone(),
            agent_sealing_key: key.public_key(),
            agent_recording_number: 1,
            previous_manifest: None,
            configuration_revision: 1,
            recorder: Recorder::SameUser,
            notes: vec![],
            failure_policy: None,
            delivery_mode: None,
            started_at: at(2),
            terminal: None,
            command: None,
            claimed_user: None,
            term: None,
            shell: None,
            agent_version: None,
        }
    }

    #[test]
    fn only_what_a_retired_agent_of_the_same_instance_has_made_is_taken_over() {
        let (key, other_key) = (SealingKey::generate(), SealingKey::generate());
        let replaced = agent(&key, Some(Retired::Replaced { at: at(5) }));
        let removed = agent(&key, Some(Retired::Removed { at: at(5) }));
        let present = agent(&key, None);
        let successor = agent(&other_key, None);
        let start = start_of(&replaced, &key);
        let check = |start: &Start, made_by| SuccessionRefused::check(start, made_by, &successor);
        assert_eq!(check(&start, Some(&replaced)), Ok(()));
        assert_eq!(check(&start_of(&removed, &key), Some(&removed)), Ok(()));
        let elsewhere = Agent { instance: "i-web2".parse().unwrap(), ..replaced.clone() };
        let foreign = Agent { account: "1609982529000001".parse().unwrap(), ..replaced.clone() };
        for (start, made_by, why) in [
            (start.clone(), None, SuccessionRefused::UnknownAgent),
            (start.clone(), Some(&elsewhere), SuccessionRefused::UnknownAgent),
            (start.clone(), Some(&foreign), SuccessionRefused::UnknownAgent),
            (start_of(&elsewhere, &key), Some(&elsewhere), SuccessionRefused::OtherInstance),
            (start_of(&foreign, &key), Some(&foreign), SuccessionRefused::OtherAccount),
            (start_of(&present, &key), Some(&present), SuccessionRefused::StillEnrolled),
            (start_of(&successor, &other_key), Some(&successor), SuccessionRefused::OwnRecording),
            (start_of(&replaced, &other_key), Some(&replaced), SuccessionRefused::OtherKey),
        ] {
            assert_eq!(check(&start, made_by), Err(why));
        }
    }

    fn recording(state: RecordingState) -> Recording {
        let account: crate::AccountId = "1609982529000000".parse().unwrap();
        Recording {
            token: recording::TerminalSessionToken::generate(),
            instance: "i-web1".parse().unwrap(),
            agent: AgentId::generate(),
            kind: CaptureKind::Terminal,
            owner: None,
            claimed_owner: None,
            command: None,
            recorder: Recorder::SameUser,
            failure_policy: None,
            delivery_mode: None,
            target: RecordStorageTarget::deployment_default(&"cn-hangzhou".parse().unwrap(), &account),
            account,
            folder: recording::ObjectName::parse("record/x").unwrap(),
            start_sha256: ContentHash::of(b"start.json"),
            started_at: at(10),
            opened_at: at(10),
            last_heard_at: at(20),
            expiration: ExpirationDays::new(7).unwrap(),
            state,
            arrived: Arrived::default(),
            ledger: None,
            succession: None,
        }
    }

    fn arrived(segments: u32) -> [ArrivedStream; 1] {
        let chain = ChainValue::from_bytes([u8::try_from(segments).unwrap(); 32]);
        [ArrivedStream { stream: Stream::Terminal, segments, stored_bytes: 0, chain, last_at: Micros::ZERO }]
    }

    fn decide(recording: Recording, segments: u32, successor: &AgentId, now: i64) -> TakeOver {
        let start = ContentHash::of(b"start.json");
        TakeOver::decide(recording, &arrived(segments), start, successor, at(now)).unwrap()
    }

    fn begun(taken: TakeOver) -> Recording {
        match taken {
            TakeOver::Begins(recording) => *recording,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_sealed_goes_on_with_the_successor_as_its_holder() {
        let successor = AgentId::generate();
        for state in [
            RecordingState::Open,
            RecordingState::Abandoned { last_heard_at: at(20) },
            RecordingState::Closed { ended_at: at(30), reason: "removed".to_owned() },
        ] {
            let before = recording(state);
            assert_eq!(*before.holder(), before.agent);
            let after = begun(decide(before.clone(), 3, &successor, 40));
            assert_eq!((after.holder(), &after.agent), (&successor, &before.agent));
            assert_eq!((&after.state, after.last_heard_at), (&RecordingState::Open, at(40)));
            let succession = after.succession.clone().unwrap();
            assert_eq!((succession.at, succession.arrived[0].segments), (at(40), 3));

            // Asked again, the same leave stands: what came since is the successor's own.
            let again = decide(after.clone(), 5, &successor, 50);
            assert_eq!(again, TakeOver::Goes(Box::new(after.clone())));
            let silent = Recording { state: RecordingState::Abandoned { last_heard_at: at(40) }, ..after };
            let returned = begun(decide(silent, 5, &successor, 60));
            assert_eq!((&returned.state, returned.succession), (&RecordingState::Open, Some(succession)));
        }
    }

    #[test]
    fn a_retired_successor_is_succeeded_by_the_next() {
        let (first, second) = (AgentId::generate(), AgentId::generate());
        let taken = begun(decide(recording(RecordingState::Open), 3, &first, 40));
        let next = begun(decide(taken, 5, &second, 50));
        let succession = next.succession.unwrap();
        assert_eq!((succession.successor, succession.at), (second, at(50)));
        assert_eq!(succession.arrived[0].segments, 5);
    }

    #[test]
    fn nothing_is_left_of_a_sealed_one_to_be_taken_over() {
        let (successor, end) = (AgentId::generate(), SessionEnd::Exited);
        let delivered = RecordingState::Delivered { ended_at: at(15), end: end.clone() };
        for state in [RecordingState::Sealed { ended_at: at(15), end }, delivered.clone()] {
            let before = recording(state);
            let after = Recording { state: delivered.clone(), ..before.clone() };
            assert_eq!(decide(before, 3, &successor, 40), TakeOver::Sealed(Box::new(after)));
        }
    }

    #[test]
    fn another_start_is_another_recording() {
        let other = ContentHash::of(b"other");
        let before = recording(RecordingState::Open);
        let refused = TakeOver::decide(before, &arrived(1), other, &AgentId::generate(), at(40));
        assert_eq!(refused, Err(SuccessionRefused::OtherStart));
    }
}
