//! A proxy before a control plane, in the test's own process, through which an agent reaches it badly: late, cut off,
//! slowly, not at all, or with errors that no control plane sent. It understands HTTP as far as it must to say which
//! step of a delivery a request is, so that a fault, or the death of the control plane, can be put at any of them.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use crate::fault_plan::{Fault, FaultPlan};

/// The longest message that passes: the largest upload, and some room.
const LONGEST_MESSAGE: usize = 16 * 1024 * 1024;

/// How much passes at once where it passes slowly.
const SLOW_PIECE: usize = 4096;

/// What an agent asks of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Anything that is no step of a delivery: enrolment, the configuration, reports.
    Other,
    /// The link is dialled.
    Link,
    /// A recording is opened.
    Open,
    /// A grant is asked for.
    Grant,
    /// A segment is uploaded.
    Upload,
    /// A segment is reported, and acknowledged by the reply.
    Acknowledge,
    /// The manifest is handed in.
    Seal,
}

impl Step {
    /// The steps of a delivery, in their order.
    pub const OF_A_DELIVERY: [Self; 5] =
        [Self::Open, Self::Grant, Self::Upload, Self::Acknowledge, Self::Seal];

    fn of(request: &Message) -> Self {
        let mut words = request.head.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match (method, path) {
            ("GET", path) if path.ends_with("/link") => Self::Link,
            ("POST", path) if path.ends_with("/recordings") => Self::Open,
            ("POST", path) if path.ends_with("/grants") => Self::Grant,
            ("PUT", path) if path.contains("/uploads/") => Self::Upload,
            ("POST", path) if path.ends_with("/segments") => Self::Acknowledge,
            ("POST", path) if path.ends_with("/seal") => Self::Seal,
            _ => Self::Other,
        }
    }
}

/// Where in a step everything stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The control plane has not seen the request.
    BeforeRequest,
    /// It has the request, and may be anywhere in answering it.
    WhileServing,
    /// It has answered, and the agent has not heard it.
    BeforeReply,
    /// The agent has the reply.
    AfterReply,
}

impl Moment {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::BeforeRequest, Self::WhileServing, Self::BeforeReply, Self::AfterReply];
}

/// A step at which everything stands still, once it is reached, until it is released.
#[derive(Debug)]
pub struct Trap {
    what: String,
    sprung: Receiver<()>,
    shared: Arc<Shared>,
}

impl Trap {
    /// Waits until the step is reached.
    pub fn wait(&self) {
        let reached = self.sprung.recv_timeout(Duration::from_secs(30));
        assert!(reached.is_ok(), "{} was never reached; so far: {:#?}", self.what, self.shared.said());
    }

    /// Lets everything go on. The request at which it stood still is not answered any more.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.armed = None;
        state.stands_still = false;
        drop(state);
        self.shared.released.notify_all();
    }
}

/// The proxy. It ends when dropped, with all its connections.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstreams: Vec<SocketAddr>,
    turns: AtomicUsize,
    ended: AtomicBool,
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    plan: Option<FaultPlan>,
    /// How often each step was reached.
    reached: BTreeMap<Step, u32>,
    armed: Option<Armed>,
    /// Whether a trap was sprung and is not released.
    stands_still: bool,
    said: Vec<String>,
    connections: Vec<TcpStream>,
}

#[derive(Debug)]
struct Armed {
    step: Step,
    moment: Moment,
    /// How many requests of this step pass before.
    pass: u32,
    sprung: Sender<()>,
}

/// What happens to one request.
struct Verdict {
    fault: Fault,
    trap: Option<(Moment, Sender<()>)>,
}

impl FaultProxy {
    /// Starts a proxy without faults before these control planes, which it asks in turn.
    #[must_use]
    pub fn before(endpoints: &[&str]) -> Self {
        let address = |endpoint: &&str| {
            let address = endpoint.strip_prefix("http://").expect("an address of a control plane");
            address.parse().expect("an address of a control plane")
        };
        let shared = Arc::new(Shared {
            upstreams: endpoints.iter().map(address).collect(),
            turns: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            state: Mutex::default(),
            released: Condvar::new(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let of_all = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if of_all.ended.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&of_all);
                thread::spawn(move || {
                    shared.keep(&client);
                    // Either end may leave at any time; the agent sees a connection that was closed.
                    let _ = serve(&shared, &client);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        Self { address, shared }
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, requests meet the faults of this plan; without one, none.
    pub fn follow(&self, plan: Option<FaultPlan>) {
        let mut state = self.shared.state();
        state.plan = plan;
        state.reached.clear();
    }

    /// Everything stands still at the next request of this step, after `pass` others.
    #[must_use]
    pub fn trap(&self, step: Step, moment: Moment, pass: u32) -> Trap {
        let (sprung, notice) = channel();
        self.shared.state().armed = Some(Armed { step, moment, pass, sprung });
        let what = format!("{moment:?} of {step:?} after {pass} others");
        Trap { what, sprung: notice, shared: Arc::clone(&self.shared) }
    }

    /// What passed, and which faults it met.
    #[must_use]
    pub fn said(&self) -> Vec<String> {
        self.shared.said()
    }

    /// How many requests of a step have come since the plan began.
    #[must_use]
    pub fn reached(&self, step: Step) -> u32 {
        self.shared.state().reached.get(&step).copied().unwrap_or_default()
    }

    /// Cuts off every connection that there is.
    pub fn cut(&self) {
        for connection in self.shared.state().connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.cut();
        let _ = TcpStream::connect(self.address);
        if thread::panicking() {
            eprintln!("what passed the proxy: {:#?}", self.said());
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn said(&self) -> Vec<String> {
        self.state().said.clone()
    }

    fn keep(&self, connection: &TcpStream) {
        self.state().connections.extend(connection.try_clone());
    }

    /// What happens to the next request of this step. While everything stands still, it waits.
    fn judge(&self, step: Step) -> Verdict {
        let mut state = self.state();
        while state.stands_still {
            state = self.released.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        let reached = state.reached.entry(step).or_default();
        let occurrence = *reached;
        *reached += 1;
        let trap = match &mut state.armed {
            Some(armed) if armed.step == step && armed.pass == 0 => state.armed.take(),
            Some(armed) if armed.step == step => {
                armed.pass -= 1;
                None
            }
            _ => None,
        };
        let trap = trap.map(|armed| (armed.moment, armed.sprung));
        let fault = state.plan.as_mut().map_or(Fault::None, |plan| plan.next(step, occurrence));
        state.said.push(format!("{step:?} {occurrence}: {fault:?} {:?}", trap.as_ref().map(|trap| trap.0)));
        Verdict { fault, trap }
    }

    /// Stands still, if this is where the trap is. True when it was.
    fn spring(&self, trap: Option<&(Moment, Sender<()>)>, here: Moment) -> bool {
        let Some((moment, sprung)) = trap else { return false };
        if *moment != here {
            return false;
        }
        let mut state = self.state();
        state.stands_still = true;
        // Nobody waits for it any more when the test has failed.
        let _ = sprung.send(());
        while state.stands_still {
            state = self.released.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        true
    }

    /// A connection to the control plane whose turn it is, or else to the next one that accepts one.
    fn dial(&self) -> io::Result<TcpStream> {
        let turn = self.turns.fetch_add(1, Ordering::SeqCst);
        let mut failed = io::Error::from(io::ErrorKind::NotConnected);
        for next in 0..self.upstreams.len() {
            match TcpStream::connect(self.upstreams[(turn + next) % self.upstreams.len()]) {
                Ok(server) => {
                    self.keep(&server);
                    return Ok(server);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

/// A request or a reply.
struct Message {
    head: String,
    /// Head and body, as they came.
    bytes: Vec<u8>,
}

/// Serves a connection until one of both ends leaves, or a fault ends it.
fn serve(shared: &Arc<Shared>, mut client: &TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut ahead = Vec::new();
    while let Some(request) = read_message(client, &mut ahead)? {
        let step = Step::of(&request);
        let Verdict { fault, trap } = shared.judge(step);
        let trap = trap.as_ref();
        if shared.spring(trap, Moment::BeforeRequest) {
            return Ok(());
        }
        match fault {
            Fault::Delay(time) => thread::sleep(time),
            Fault::Silent(time) => {
                thread::sleep(time);
                return Ok(());
            }
            Fault::Status(status) => {
                write_status(client, status)?;
                continue;
            }
            _ => {}
        }
        let server = shared.dial()?;
        match fault {
            Fault::CutRequest(bytes) => {
                (&server).write_all(&request.bytes[..bytes.min(request.bytes.len())])?;
                return server.shutdown(Shutdown::Both);
            }
            Fault::Slow(per_second) => write_slowly(&server, &request.bytes, per_second)?,
            _ => (&server).write_all(&request.bytes)?,
        }
        if shared.spring(trap, Moment::WhileServing) {
            return Ok(());
        }
        let mut after_reply = Vec::new();
        let Some(reply) = read_message(&server, &mut after_reply)? else { return Ok(()) };
        if shared.spring(trap, Moment::BeforeReply) {
            return Ok(());
        }
        match fault {
            Fault::CutReply(bytes) => {
                return client.write_all(&reply.bytes[..bytes.min(reply.bytes.len())]);
            }
            Fault::DeadReply(time) => {
                thread::sleep(time);
                return Ok(());
            }
            Fault::StatusAfterwards(status) => {
                write_status(client, status)?;
                continue;
            }
            Fault::Slow(per_second) => write_slowly(client, &reply.bytes, per_second)?,
            _ => client.write_all(&reply.bytes)?,
        }
        let _ = shared.spring(trap, Moment::AfterReply);
        if reply.head.starts_with("HTTP/1.1 101") {
            client.write_all(&after_reply)?;
            return tunnel(client, &server, fault);
        }
    }
    Ok(())
}

/// Passes on both directions of a link, as long as the fault lets it.
fn tunnel(client: &TcpStream, server: &TcpStream, fault: Fault) -> io::Result<()> {
    let (from_agent, from_server) = match fault {
        Fault::LinkCut { from_agent, from_server } => (Passes::UpTo(from_agent), Passes::UpTo(from_server)),
        Fault::LinkHalfOpen { from_agent: true } => (Passes::Nothing, Passes::Everything),
        Fault::LinkHalfOpen { from_agent: false } => (Passes::Everything, Passes::Nothing),
        _ => (Passes::Everything, Passes::Everything),
    };
    let (agent, plane) = (client.try_clone()?, server.try_clone()?);
    let outward = thread::spawn(move || pass(&agent, &plane, from_agent));
    pass(server, client, from_server);
    let _ = outward.join();
    Ok(())
}

/// How much of one direction passes.
#[derive(Debug, Clone, Copy)]
enum Passes {
    Everything,
    /// What comes is swallowed, and the sender hears nothing of it.
    Nothing,
    /// Behind so many bytes both directions are cut.
    UpTo(usize),
}

fn pass(mut from: &TcpStream, mut to: &TcpStream, passes: Passes) {
    let mut buffer = [0; 65_536];
    let mut passed = 0;
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let most = match passes {
            Passes::Everything => read,
            Passes::Nothing => continue,
            Passes::UpTo(bytes) => read.min(bytes.saturating_sub(passed)),
        };
        passed += most;
        if to.write_all(&buffer[..most]).is_err() || most < read {
            break;
        }
    }
    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}

fn write_slowly(mut to: &TcpStream, bytes: &[u8], per_second: u32) -> io::Result<()> {
    for piece in bytes.chunks(SLOW_PIECE) {
        to.write_all(piece)?;
        thread::sleep(Duration::from_secs(1).mul_f64(piece.len() as f64 / f64::from(per_second)));
    }
    Ok(())
}

/// An error as gateways send it, which is none of the Agent API.
fn write_status(mut client: &TcpStream, status: u16) -> io::Result<()> {
    let body = "<html>the gateway is not well</html>";
    let head =
        format!("HTTP/1.1 {status} x\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n", body.len());
    client.write_all((head + body).as_bytes())
}

/// The next message, whole; `None` at the end. What stands behind it is left in `ahead`.
fn read_message(mut from: &TcpStream, ahead: &mut Vec<u8>) -> io::Result<Option<Message>> {
    let mut buffer = [0; 65_536];
    let mut more = |ahead: &mut Vec<u8>| {
        if ahead.len() > LONGEST_MESSAGE {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        let read = from.read(&mut buffer)?;
        ahead.extend_from_slice(&buffer[..read]);
        Ok(read > 0)
    };
    let body_at = loop {
        if let Some(end) = ahead.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if !more(ahead)? {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&ahead[..body_at]).into_owned();
    let length: usize = head
        .lines()
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        })
        .unwrap_or_default();
    let is_chunked = head.lines().any(|line| line.to_ascii_lowercase().starts_with("transfer-encoding:"));
    assert!(!is_chunked, "the Agent API's messages say their length: {head}");
    while ahead.len() < body_at + length {
        if !more(ahead)? {
            return Ok(None);
        }
    }
    let rest = ahead.split_off(body_at + length);
    Ok(Some(Message { head, bytes: std::mem::replace(ahead, rest) }))
}
