use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const CHANNEL: ChannelId = ChannelId::from_bytes([9; 16]);

fn echo() -> ServiceName {
    ServiceName::parse("echo").unwrap()
}

/// One of the two who use a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Opener,
    Acceptor,
}

#[derive(Debug, Clone)]
enum Step {
    Write(Who, usize),
    Read(Who, usize),
    Finish(Who),
    /// So many frames go on their way.
    Send(Who, usize),
    /// So many frames arrive at this end.
    Arrive(Who, usize),
    /// The agent's WebSocket breaks.
    LoseLink,
    /// The way between the opener and the holder of the link breaks. Of what is on its way to the agent so many frames are past the
    /// holder, and of what is on its way to the opener so many are lost. The holder may tell the agent.
    LoseForward {
        past: usize,
        lost: usize,
        told: bool,
    },
    /// The opener finds a way.
    Attach,
}

fn step() -> impl Strategy<Value = Step> {
    let who = || prop_oneof![Just(Who::Opener), Just(Who::Acceptor)];
    prop_oneof![
        4 => (who(), 0..40_usize).prop_map(|(who, bytes)| Step::Write(who, bytes)),
        4 => (who(), 1..40_usize).prop_map(|(who, bytes)| Step::Read(who, bytes)),
        1 => who().prop_map(Step::Finish),
        6 => (who(), 1..6_usize).prop_map(|(who, frames)| Step::Send(who, frames)),
        6 => (who(), 1..6_usize).prop_map(|(who, frames)| Step::Arrive(who, frames)),
        1 => Just(Step::LoseLink),
        1 => (0..6_usize, 0..6_usize, any::<bool>())
            .prop_map(|(past, lost, told)| Step::LoseForward { past, lost, told }),
        3 => Just(Step::Attach),
    ]
}

/// One end, with whoever uses it.
struct Side {
    end: Option<End>,
    arriving: VecDeque<Vec<u8>>,
    written: Vec<u8>,
    finished: bool,
    read: Vec<u8>,
    read_end: bool,
}

impl Side {
    fn new(end: Option<End>) -> Self {
        let (arriving, written, read) = (VecDeque::new(), Vec::new(), Vec::new());
        Self { end, arriving, written, finished: false, read, read_end: false }
    }
}

/// Both ends, and what is between them.
struct Pair {
    opener: Side,
    acceptor: Side,
    window: u32,
}

impl Pair {
    fn new(openers: u32, acceptors: u32) -> Self {
        let opener = Side::new(Some(End::opener_with(CHANNEL, echo(), openers)));
        Self { opener, acceptor: Side::new(None), window: acceptors }
    }

    fn side(&mut self, who: Who) -> &mut Side {
        match who {
            Who::Opener => &mut self.opener,
            Who::Acceptor => &mut self.acceptor,
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Write(who, length) => {
                let side = self.side(*who);
                let Some(end) = side.end.as_mut().filter(|_| !side.finished) else { return };
                let first = side.written.len();
                let bytes: Vec<u8> =
                    (first..first + length).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
                let taken = end.write(&bytes).unwrap();
                side.written.extend(&bytes[..taken]);
            }
            Step::Read(who, most) => {
                let side = self.side(*who);
                let Some(end) = &mut side.end else { return };
                match end.read(*most).unwrap() {
                    Reading::Bytes(bytes) => {
                        assert!(!side.read_end && bytes.len() <= *most);
                        side.read.extend(bytes);
                    }
                    Reading::End => side.read_end = true,
                    Reading::Nothing => assert!(!side.read_end),
                }
            }
            Step::Finish(who) => {
                let side = self.side(*who);
                if let Some(end) = &mut side.end {
                    side.finished = true;
                    end.finish();
                }
            }
            Step::Send(who, frames) => {
                let mut sent = Vec::new();
                if let Some(end) = &mut self.side(*who).end {
                    sent.extend(
                        std::iter::from_fn(|| end.next_frame().map(|frame| frame.encode())).take(*frames),
                    );
                }
                self.side(if *who == Who::Opener { Who::Acceptor } else { Who::Opener })
                    .arriving
                    .extend(sent);
            }
            Step::Arrive(who, frames) => {
                for _ in 0..*frames {
                    let Some(bytes) = self.side(*who).arriving.pop_front() else { return };
                    self.arrive(*who, &bytes);
                }
            }
            Step::LoseLink => {
                self.opener.arriving.clear();
                self.acceptor.arriving.clear();
                for side in [&mut self.opener, &mut self.acceptor] {
                    if let Some(end) = &mut side.end {
                        end.detach();
                    }
                }
            }
            Step::LoseForward { past, lost, told } => {
                self.opener.end.as_mut().unwrap().detach();
                self.acceptor.arriving.truncate(*past);
                if *told {
                    self.acceptor
                        .arriving
                        .push_back(Frame { channel: CHANNEL, body: FrameBody::Detach }.encode());
                }
                self.opener.arriving.drain(..(*lost).min(self.opener.arriving.len()));
            }
            Step::Attach => {
                let opener = self.opener.end.as_mut().unwrap();
                if !opener.is_attached() {
                    opener.attach();
                }
            }
        }
    }

    /// As whoever has many channels does: an unknown one begins with being opened, and is unknown otherwise.
    fn arrive(&mut self, who: Who, bytes: &[u8]) {
        let window = self.window;
        let frame = Frame::decode(bytes).unwrap();
        match (&mut self.side(who).end, frame.body) {
            (Some(end), body) => end.receive(&body),
            (unknown, FrameBody::Open { window: theirs, service }) => {
                *unknown = Some(End::acceptor_with(CHANNEL, service, theirs, window).unwrap());
            }
            (_, _) => {}
        }
    }

    fn check(&self) {
        for side in [&self.opener, &self.acceptor] {
            let Some(end) = &side.end else { continue };
            let (kept, held) = end.memory();
            assert!(kept <= 64 && held <= 64, "{kept} {held}");
            assert!(!matches!(end.over(), Some(Over::Reset(_))), "{:?}", end.over());
        }
        assert!(self.acceptor.written.starts_with(&self.opener.read));
        assert!(self.opener.written.starts_with(&self.acceptor.read));
    }
}

proptest! {
    /// Whatever is lost, as long as the opener finds a way again: each byte arrives once and in order, both ends learn of the other's
    /// end, and no more is kept than the windows.
    #[test]
    fn every_byte_arrives_once_and_in_order(
        steps in vec(step(), 0..300), openers in 1..64_u32, acceptors in 1..64_u32,
    ) {
        let mut pair = Pair::new(openers, acceptors);
        for step in &steps {
            pair.take(step);
            pair.check();
        }
        // From now on nothing is lost, and both go on until they are done.
        let over = |side: &Side| side.end.as_ref().is_some_and(|end| end.over() == Some(&Over::Closed));
        for round in 0.. {
            prop_assert!(round < 2_000, "it never ends");
            for who in [Who::Opener, Who::Acceptor] {
                for step in [
                    Step::Attach, Step::Finish(who), Step::Send(who, 9), Step::Arrive(who, 9), Step::Read(who, 99),
                ] {
                    pair.take(&step);
                    pair.check();
                }
            }
            if over(&pair.opener) && over(&pair.acceptor) {
                break;
            }
        }
        prop_assert_eq!(&pair.opener.read, &pair.acceptor.written);
        prop_assert_eq!(&pair.acceptor.read, &pair.opener.written);
        prop_assert!(pair.opener.end.as_ref().unwrap().memory() == (0, 0));
    }

    /// Whatever the other end says, nothing panics, and no more is kept and held than the window.
    #[test]
    fn no_frames_do_harm(opener in any::<bool>(), steps in vec((hostile(), 0..20_usize, 0..20_usize), 0..60)) {
        let mut end = if opener {
            End::opener_with(CHANNEL, echo(), 16)
        } else {
            End::acceptor_with(CHANNEL, echo(), u32::MAX, 16).unwrap()
        };
        end.attach();
        for (body, write, read) in steps {
            end.receive(&body.as_body());
            let _ = end.write(&vec![1; write]);
            let _ = end.read(read);
            while end.next_frame().is_some() {}
            let (kept, held) = end.memory();
            prop_assert!(kept <= 16 && held <= 16);
        }
    }
}

/// A frame's body with bytes of its own.
#[derive(Debug, Clone)]
enum Hostile {
    Data(u64, Vec<u8>),
    Other(FrameBody<'static>),
}

impl Hostile {
    fn as_body(&self) -> FrameBody<'_> {
        match self {
            Hostile::Data(offset, bytes) => FrameBody::Data { offset: *offset, bytes },
            Hostile::Other(body) => body.clone(),
        }
    }
}

fn hostile() -> impl Strategy<Value = Hostile> {
    let offset = || prop_oneof![4 => 0..40_u64, 1 => any::<u64>()];
    let other = |body: FrameBody<'static>| Hostile::Other(body);
    prop_oneof![
        (offset(), vec(any::<u8>(), 1..30)).prop_map(|(offset, bytes)| Hostile::Data(offset, bytes)),
        any::<u32>().prop_map(move |window| other(FrameBody::Open { window, service: echo() })),
        (1..30_u32).prop_map(move |window| other(FrameBody::Accept { window })),
        offset().prop_map(move |offset| other(FrameBody::Consumed { offset })),
        offset().prop_map(move |offset| other(FrameBody::Finish { offset })),
        (0..4_u32, offset(), offset()).prop_map(move |(attempt, received, consumed)| other(
            FrameBody::Resume { attempt, received, consumed }
        )),
        Just(other(FrameBody::Detach)),
        Just(other(FrameBody::Closed)),
        Just(other(FrameBody::Accept { window: 7 })),
    ]
}

fn connected() -> (End, End) {
    let mut opener = End::opener_with(CHANNEL, echo(), 8);
    opener.attach();
    let Some(Frame { body: FrameBody::Open { window, service }, .. }) = opener.next_frame() else { panic!() };
    let mut acceptor = End::acceptor_with(CHANNEL, service, window, 8).unwrap();
    opener.receive(&acceptor.next_frame().unwrap().body);
    assert!(opener.is_accepted());
    (opener, acceptor)
}

fn protocol_violation(end: &mut End) -> String {
    let Some(Frame { body: FrameBody::Reset(reset), .. }) = end.next_frame() else { panic!("no reset") };
    assert_eq!(reset.code, ResetCode::Protocol);
    assert_eq!(end.over(), Some(&Over::Reset(reset.clone())));
    assert!(end.next_frame().is_none(), "it is said once");
    reset.reason
}

#[test]
fn nothing_is_sent_beyond_the_window_until_it_is_consumed() {
    let (mut opener, mut acceptor) = connected();
    assert_eq!(opener.write(b"0123456789"), Ok(8));
    acceptor.receive(&opener.next_frame().unwrap().body);
    assert_eq!(opener.write(b"89"), Ok(0));
    assert!(opener.next_frame().is_none());
    assert_eq!(acceptor.read(3), Ok(Reading::Bytes(b"012".to_vec())));
    assert!(acceptor.next_frame().is_none(), "less than half of a window is not told");
    assert_eq!(acceptor.read(9), Ok(Reading::Bytes(b"34567".to_vec())));
    opener.receive(&acceptor.next_frame().unwrap().body);
    assert_eq!(opener.write(b"89"), Ok(2));
}

#[test]
fn offsets_that_do_not_fit_reset_the_channel() {
    let data = |offset, bytes| FrameBody::Data { offset, bytes };
    for (bodies, why) in [
        (vec![data(1, b"x")], "missing"),
        (vec![data(0, b"012345678")], "beyond the window"),
        (vec![data(0, b"ab"), FrameBody::Finish { offset: 1 }], "not where the bytes end"),
        (vec![FrameBody::Finish { offset: 0 }, data(0, b"a")], "follow the end"),
        (vec![FrameBody::Consumed { offset: 1 }], "exceed what was sent"),
        (vec![FrameBody::Resume { attempt: 1, received: 1, consumed: 0 }], "between what was consumed"),
        (vec![FrameBody::Closed], "the control plane does not send"),
        (vec![FrameBody::Open { window: 9, service: echo() }], "another window"),
    ] {
        let (_, mut acceptor) = connected();
        for body in &bodies {
            acceptor.receive(body);
        }
        let reason = protocol_violation(&mut acceptor);
        assert!(reason.contains(why), "{reason} lacks {why}");
    }
    let (mut opener, _) = connected();
    opener.receive(&FrameBody::Closed);
    assert!(protocol_violation(&mut opener).contains("both directions are finished"));
}

#[test]
fn a_reset_ends_both_ends_and_drops_what_was_on_its_way() {
    let (mut opener, mut acceptor) = connected();
    opener.write(b"unread").unwrap();
    acceptor.receive(&opener.next_frame().unwrap().body);
    opener.reset(Reset::new(ResetCode::Cancelled, "enough"));
    acceptor.receive(&opener.next_frame().unwrap().body);
    let reset = Reset::new(ResetCode::Cancelled, "enough");
    for end in [&mut opener, &mut acceptor] {
        assert_eq!(end.read(9), Err(reset.clone()));
        assert_eq!(end.write(b"x"), Err(reset.clone()));
        assert!(end.next_frame().is_none());
        assert_eq!(end.memory(), (0, 0));
    }
}

#[test]
fn a_lost_reset_is_repeated_on_resume() {
    let (mut opener, mut acceptor) = connected();
    acceptor.reset(Reset::new(ResetCode::Failed, "no"));
    // It is said, and lost with the link.
    assert!(matches!(acceptor.next_frame(), Some(Frame { body: FrameBody::Reset(_), .. })));
    acceptor.detach();
    opener.detach();
    opener.attach();
    acceptor.receive(&opener.next_frame().unwrap().body);
    while let Some(frame) = acceptor.next_frame() {
        opener.receive(&frame.body);
    }
    assert_eq!(opener.over(), Some(&Over::Reset(Reset::new(ResetCode::Failed, "no"))));
    assert!(acceptor.next_frame().is_none());
}

#[test]
fn what_arrives_before_the_answer_to_resume_is_of_an_earlier_way() {
    let (mut opener, mut acceptor) = connected();
    acceptor.write(b"abcdef").unwrap();
    let lost = acceptor.next_frame().unwrap().encode();
    opener.detach();
    opener.attach();
    // A later piece of the old way, without what was lost before it.
    opener.receive(&FrameBody::Data { offset: 3, bytes: b"def" });
    assert_eq!(opener.read(9), Ok(Reading::Nothing));
    acceptor.receive(&opener.next_frame().unwrap().body);
    for _ in 0..2 {
        opener.receive(&acceptor.next_frame().unwrap().body);
    }
    assert_eq!(opener.read(9), Ok(Reading::Bytes(b"abcdef".to_vec())));
    // A duplicate changes nothing.
    opener.receive(&Frame::decode(&lost).unwrap().body);
    assert_eq!(opener.read(9), Ok(Reading::Nothing));
    assert_eq!(opener.over(), None);
}
