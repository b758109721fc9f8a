//! The recorder's control socket: how an agent, also a later one, speaks to it. It is never more than a help: if there is
//! no descriptor for a connection, or it reads nothing, the recording goes on without it.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use agent_protocol::lines::MAXIMUM_LINE_BYTES;
use agent_protocol::person::{FromRecorder, Message as _};
use agent_protocol::recorder::{ControlReply, ControlRequest};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// How many connections there are at most; further ones wait.
const MOST_CONNECTIONS: usize = 8;
/// How many of them may watch the session: for an agent that says what was acknowledged there is always room.
const MOST_TAPS: usize = MOST_CONNECTIONS / 2;
/// What a connection may leave unread of what it asked to be sent, before it is closed.
const MOST_UNREAD_BYTES: usize = 256 * 1024;
const READ_BYTES: usize = 1024;
/// How long nothing is accepted after that failed, usually for want of a descriptor.
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_secs(1);

/// The listening socket, and its connections.
pub(crate) struct Control {
    listener: UnixListener,
    connections: Vec<Connection>,
    not_before: Option<Instant>,
}

struct Connection {
    stream: UnixStream,
    heard: Vec<u8>,
    unsent: Vec<u8>,
    taps: bool,
    gone: bool,
}

impl Control {
    pub(crate) fn over(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Control { listener, connections: Vec::new(), not_before: None })
    }

    /// What to wait for: a new connection, if it can be had, and what there is to do with the others.
    pub(crate) fn interest(&self) -> impl Iterator<Item = PollFd<'_>> {
        let listener = self.accepts().then(|| PollFd::new(&self.listener, PollFlags::IN));
        let of_connections = self.connections.iter().map(|connection| {
            let room = if connection.unsent.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            PollFd::new(&connection.stream, PollFlags::IN | room)
        });
        listener.into_iter().chain(of_connections)
    }

    /// Accepts, reads and sends what is possible now. The requests are answered by `answer`.
    pub(crate) fn advance(&mut self, mut answer: impl FnMut(ControlRequest) -> ControlReply) {
        if self.accepts() {
            self.accept();
        }
        for place in 0..self.connections.len() {
            let taps = self.connections.iter().filter(|connection| connection.taps).count();
            let connection = &mut self.connections[place];
            connection.hear(taps < MOST_TAPS, &mut answer);
            connection.flush();
        }
        self.connections.retain(|connection| !connection.gone);
    }

    fn accepts(&self) -> bool {
        self.connections.len() < MOST_CONNECTIONS && self.not_before.is_none_or(|at| at <= Instant::now())
    }

    fn accept(&mut self) {
        self.not_before = None;
        match self.listener.accept().and_then(|(stream, _)| stream.set_nonblocking(true).map(|()| stream)) {
            Ok(stream) => {
                let (heard, unsent) = (Vec::new(), Vec::new());
                self.connections.push(Connection { stream, heard, unsent, taps: false, gone: false });
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // As long as it waits to be accepted, the listener stays readable.
            Err(_) => self.not_before = Some(Instant::now() + PAUSE_AFTER_TROUBLE),
        }
    }

    /// Sends to everybody who asked for it what was recorded just now.
    pub(crate) fn tap(&mut self, message: &FromRecorder<'_>) {
        for connection in self.connections.iter_mut().filter(|connection| connection.taps) {
            message.encode(&mut connection.unsent);
            connection.flush();
        }
        self.connections.retain(|connection| !connection.gone);
    }
}

impl Connection {
    fn hear(&mut self, may_tap: bool, answer: &mut impl FnMut(ControlRequest) -> ControlReply) {
        let mut buffer = [0; READ_BYTES];
        loop {
            match recv(&self.stream, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((_, 0)) => self.gone = true,
                Ok((_, received)) => {
                    self.heard.extend_from_slice(&buffer[..received]);
                    if self.heard.len() <= MAXIMUM_LINE_BYTES {
                        continue;
                    }
                    self.gone = true;
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {}
                Err(_) => self.gone = true,
            }
            break;
        }
        while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            let reply = match serde_json::from_slice(&line) {
                Ok(ControlRequest::Tap) if !may_tap && !self.taps => {
                    ControlReply::Refused { reason: format!("{MOST_TAPS} others watch this session") }
                }
                Ok(ControlRequest::Tap) => {
                    self.taps = true;
                    ControlReply::Done
                }
                Ok(request) => answer(request),
                Err(error) => {
                    ControlReply::Refused { reason: format!("the request is not understood: {error}") }
                }
            };
            if serde_json::to_writer(&mut self.unsent, &reply).is_err() {
                self.gone = true;
            }
            self.unsent.push(b'\n');
        }
    }

    fn flush(&mut self) {
        while !self.unsent.is_empty() {
            match send(&self.stream, &self.unsent, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    self.gone = true;
                    break;
                }
            }
        }
        self.gone |= self.unsent.len() > MOST_UNREAD_BYTES;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};

    use agent_protocol::person::{Decoder, Output};

    use super::*;

    struct Fixture {
        control: Control,
        folder: std::path::PathBuf,
    }

    impl Fixture {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("hansard-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir(&folder).unwrap();
            let listener = UnixListener::bind(folder.join("s")).unwrap();
            Fixture { control: Control::over(listener).unwrap(), folder }
        }

        fn connect(&self) -> UnixStream {
            UnixStream::connect(self.folder.join("s")).unwrap()
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    #[test]
    fn requests_are_answered_in_order_and_nonsense_is_refused() {
        let mut fixture = Fixture::new("control");
        let mut stream = fixture.connect();
        stream.write_all(b"{\"Type\":\"end\",\"Reason\":\"one\"}\n{\"Type\":\"later\"}\n{\"Ty").unwrap();
        let mut asked = Vec::new();
        for _ in 0..2 {
            fixture.control.advance(|request| {
                asked.push(request);
                ControlReply::Done
            });
        }
        assert_eq!(asked, [ControlRequest::End { reason: "one".to_owned() }]);
        let mut lines = BufReader::new(&stream).lines();
        assert_eq!(lines.next().unwrap().unwrap(), r#"{"Type":"done"}"#);
        assert!(lines.next().unwrap().unwrap().contains("refused"));
    }

    #[test]
    fn a_tap_that_reads_nothing_is_closed_and_another_goes_on() {
        let mut fixture = Fixture::new("tap");
        let (mut idle, mut reading) = (fixture.connect(), fixture.connect());
        for stream in [&mut idle, &mut reading] {
            stream.write_all(b"{\"Type\":\"tap\"}\n").unwrap();
        }
        for _ in 0..2 {
            fixture.control.advance(|_| ControlReply::Done);
        }
        let bytes = [7; 8 * 1024];
        let length = 5 + 1 + bytes.len();
        let mut reply = [0; 16];
        reading.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"{\"Type\":\"done\"}\n");
        let mut decoder = Decoder::default();
        let mut rounds = 0;
        while fixture.control.connections.len() == 2 {
            fixture.control.tap(&FromRecorder::Output(Output::Terminal, &bytes));
            // Each message is read whole before the next, so that only the idle one has anything unread.
            reading.read_exact(&mut decoder.room()[..length]).unwrap();
            decoder.received(length);
            assert_eq!(decoder.next().unwrap(), Some(FromRecorder::Output(Output::Terminal, &bytes)));
            rounds += 1;
            assert!(rounds < 1000, "the idle one is never closed");
        }
        assert!(rounds * length > MOST_UNREAD_BYTES);
        fixture.control.tap(&FromRecorder::OutputEnd(Output::Terminal));
        reading.read_exact(&mut [0; 6]).unwrap();
    }

    #[test]
    fn watching_leaves_room_for_an_agent() {
        let mut fixture = Fixture::new("taps");
        let streams: Vec<UnixStream> = (0..MOST_TAPS + 1).map(|_| fixture.connect()).collect();
        for mut stream in &streams {
            stream.write_all(b"{\"Type\":\"tap\"}\n").unwrap();
        }
        for _ in 0..2 * streams.len() {
            fixture.control.advance(|_| ControlReply::Done);
        }
        let answers: Vec<String> =
            streams.iter().map(|stream| BufReader::new(stream).lines().next().unwrap().unwrap()).collect();
        assert!(answers[..MOST_TAPS].iter().all(|answer| answer.contains("done")), "{answers:?}");
        assert!(answers[MOST_TAPS].contains("refused"), "{answers:?}");
    }

    #[test]
    fn more_connections_than_there_is_room_for_wait() {
        let mut fixture = Fixture::new("many");
        let streams: Vec<UnixStream> = (0..MOST_CONNECTIONS + 3).map(|_| fixture.connect()).collect();
        for _ in 0..2 * streams.len() {
            fixture.control.advance(|_| ControlReply::Done);
        }
        assert_eq!(fixture.control.connections.len(), MOST_CONNECTIONS);
        assert_eq!(fixture.control.interest().count(), MOST_CONNECTIONS);
    }
}
