use std::time::Duration;

use agent_protocol::bus::{Channel, MOST_DATA_BYTES, WINDOW_BYTES};
use tokio::time::timeout;

use super::*;

/// The control plane's end of a channel, connected by hand.
struct Opener {
    channel: Channel,
    port: Port,
}

fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

impl Opener {
    fn new(service: &str) -> Self {
        let end = End::opener(ChannelId::generate().unwrap(), name(service));
        let (channel, port) = bus::share(end, || {});
        port.attach();
        Self { channel, port }
    }

    fn send_to(&self, channels: &Channels) {
        while let Some(frame) = self.port.next_frame() {
            channels.receive(&frame).unwrap();
        }
    }
}

/// The next frame, by its channel and kind.
async fn next(channels: &Channels) -> Vec<u8> {
    timeout(Duration::from_secs(20), channels.next()).await.expect("a frame")
}

async fn carry(channels: &Channels, openers: &[&Opener]) {
    let bytes = next(channels).await;
    let frame = Frame::decode(&bytes).unwrap();
    let opener = openers.iter().find(|opener| opener.port.channel() == frame.channel).unwrap();
    opener.port.receive(&frame.body);
    opener.send_to(channels);
}

async fn open_echo(channels: &Channels) -> Opener {
    let mut opener = Opener::new("echo");
    opener.send_to(channels);
    carry(channels, &[&opener]).await;
    opener.channel.accepted().await.unwrap();
    opener
}

async fn reset_of(channels: &Channels) -> ResetCode {
    let bytes = next(channels).await;
    match Frame::decode(&bytes).unwrap().body {
        FrameBody::Reset(reset) => reset.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_echo_returns_what_it_receives_and_ends_when_its_opener_does() {
    let channels = Channels::default();
    let Opener { channel: Channel { mut reader, mut writer }, port } = open_echo(&channels).await;
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
    let sending = async {
        writer.write(&bytes).await.unwrap();
        writer.finish();
    };
    let receiving = async {
        let mut heard = Vec::new();
        while let Some(bytes) = reader.read().await.unwrap() {
            heard.extend(bytes);
        }
        heard
    };
    let carrying = async {
        while port.over().is_none() {
            while let Some(frame) = port.next_frame() {
                channels.receive(&frame).unwrap();
            }
            if let Ok(bytes) = timeout(Duration::from_millis(1), channels.next()).await {
                port.receive(&Frame::decode(&bytes).unwrap().body);
            }
        }
    };
    let done = timeout(Duration::from_secs(20), async { tokio::join!(sending, receiving, carrying) });
    let ((), heard, ()) = done.await.expect("it ends");
    assert!(heard == bytes, "{} of {} bytes", heard.len(), bytes.len());
    assert_eq!(port.over(), Some(Over::Closed));
}

#[tokio::test]
async fn channels_take_turns() {
    let channels = Channels::default();
    let (mut one, mut other) = (open_echo(&channels).await, open_echo(&channels).await);
    let much = vec![7; 8 * MOST_DATA_BYTES];
    for opener in [&mut one, &mut other] {
        opener.channel.writer.write(&much).await.unwrap();
        opener.send_to(&channels);
    }
    // Let both services write all that there is room for.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let mut data = Vec::new();
    while data.len() < 8 {
        let bytes = next(&channels).await;
        let frame = Frame::decode(&bytes).unwrap();
        if matches!(frame.body, FrameBody::Data { .. }) {
            data.push(frame.channel);
        }
    }
    assert!(data.windows(2).all(|pair| pair[0] != pair[1]), "{data:?}");
}

#[tokio::test]
async fn an_unknown_service_or_channel_is_refused_with_its_code() {
    let channels = Channels::default();
    let unknown = Opener::new("no-such-thing");
    unknown.send_to(&channels);
    assert_eq!(reset_of(&channels).await, ResetCode::NoSuchService);
    let gone = Opener::new("echo");
    while gone.port.next_frame().is_some() {}
    gone.port.receive(&FrameBody::Accept { window: 1 });
    gone.port.detach();
    gone.port.attach();
    gone.send_to(&channels);
    assert_eq!(reset_of(&channels).await, ResetCode::UnknownChannel);
    let mut all = Vec::new();
    for _ in 0..MOST_CHANNELS {
        all.push(open_echo(&channels).await);
    }
    let one_more = Opener::new("echo");
    one_more.send_to(&channels);
    assert_eq!(reset_of(&channels).await, ResetCode::TooManyChannels);
    // One that ends makes room.
    let Opener { channel, port } = all.pop().unwrap();
    channel.reset(ResetCode::Cancelled, "enough");
    while let Some(frame) = port.next_frame() {
        channels.receive(&frame).unwrap();
    }
    open_echo(&channels).await;
}

#[tokio::test]
async fn a_channel_that_nobody_resumes_is_given_up_in_time_and_no_sooner() {
    let channels = Channels::default();
    let (waits, resumed) = (open_echo(&channels).await, open_echo(&channels).await);
    let lost = Instant::now();
    for opener in [&waits, &resumed] {
        opener.port.detach();
    }
    channels.link_is_lost();
    channels.expire(lost);
    resumed.port.attach();
    resumed.send_to(&channels);
    carry(&channels, &[&resumed]).await;
    channels.expire(lost + RESUME_WITHIN - Duration::from_millis(1));
    assert_eq!(channels.shared.lock().live.len(), 2);
    channels.expire(lost + RESUME_WITHIN);
    assert_eq!(channels.shared.lock().live.len(), 1);
    waits.port.attach();
    waits.send_to(&channels);
    assert_eq!(reset_of(&channels).await, ResetCode::UnknownChannel);
    // The holder of the link says that the opener of this one is out of reach.
    channels.receive(&Frame { channel: resumed.port.channel(), body: FrameBody::Detach }.encode()).unwrap();
    channels.expire(lost + RESUME_WITHIN);
    channels.expire(lost + RESUME_WITHIN * 2);
    assert!(channels.shared.lock().live.is_empty());
}

#[test]
fn a_malformed_frame_or_a_flood_of_refusals_ends_the_link() {
    let channels = Channels::default();
    assert!(channels.receive(b"nonsense").unwrap_err().contains("not understood"));
    let open = |number: u8| Frame {
        channel: ChannelId::from_bytes([number; 16]),
        body: FrameBody::Open { window: WINDOW_BYTES, service: name("nothing") },
    };
    let refused: Vec<_> = (0..=u8::MAX).map(|number| channels.receive(&open(number).encode())).collect();
    assert_eq!(refused.iter().filter(|refused| refused.is_ok()).count(), 2 * MOST_CHANNELS);
    assert!(refused.last().unwrap().as_ref().unwrap_err().contains("faster"));
}
