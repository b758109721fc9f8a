//! What the service manager is told: that the agent is ready, that it works, and that it stops. The protocol is one
//! datagram for each message, to the socket that NOTIFY_SOCKET names.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::settings::ServiceEnvironment;

const READY: &str = "READY=1";
const WORKS: &str = "WATCHDOG=1";
const STOPS: &str = "STOPPING=1";

/// The service manager, if one has started this process and wants to be told.
pub(super) struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    /// How long the agent may be silent before it is started again.
    watchdog: Option<Duration>,
}

impl Manager {
    /// `None` if nobody wants to be told. What cannot be told is logged: the agent works all the same.
    pub(super) fn find(environment: &ServiceEnvironment) -> Option<Manager> {
        let named = environment.notify_socket.as_deref()?;
        let watchdog = environment.watchdog();
        let open = || Ok(Manager { socket: UnixDatagram::unbound()?, address: address_of(named)?, watchdog });
        match open() {
            Ok(manager) => {
                // A manager that does not read must not stop the agent.
                let nonblocking = manager.socket.set_nonblocking(true);
                nonblocking.inspect_err(complain).ok().map(|()| manager)
            }
            Err(error) => {
                complain(&error);
                None
            }
        }
    }

    pub(super) fn is_ready(&self) {
        self.tell(READY);
    }

    pub(super) fn stops(&self) {
        self.tell(STOPS);
    }

    /// Says again and again that the agent works, as long as `works` finds nothing against it. Without a watchdog it waits
    /// for ever.
    pub(super) async fn keep_telling(&self, works: impl AsyncFn() -> Result<(), String>) {
        let Some(watchdog) = self.watchdog else { return std::future::pending().await };
        // So often that a look that takes all its time is no failure.
        let mut turn = interval((watchdog / 3).max(Duration::from_millis(1)));
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turn.tick().await;
            match works().await {
                Ok(()) => self.tell(WORKS),
                Err(why) => {
                    tracing::error!(
                        "the agent does not work, and the service manager is not told that it does: {why}"
                    );
                }
            }
        }
    }

    /// How long one look at whether the agent works may take.
    pub(super) fn patience(&self) -> Duration {
        self.watchdog.unwrap_or(Duration::MAX) / 3
    }

    fn tell(&self, message: &str) {
        if let Err(error) = self.socket.send_to_addr(message.as_bytes(), &self.address) {
            complain(&error);
        }
    }
}

fn complain(error: &io::Error) {
    tracing::warn!("the service manager cannot be told how the agent is: {error}");
}

/// A path, or with an `@` before it a name that is no file.
fn address_of(named: &OsStr) -> io::Result<SocketAddr> {
    match named.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(named),
        [b'@', name @ ..] if !name.is_empty() => SocketAddr::from_abstract_name(name),
        _ => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "NOTIFY_SOCKET names no socket of this machine"))
        }
    }
}

/// When something that never ends must be heard of again.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    due: Mutex<Option<Instant>>,
}

impl Pulse {
    /// It lives now, and says so again within this time.
    pub(super) fn lives_for(&self, duration: Duration) {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now().checked_add(duration);
    }

    /// There is nothing to be heard of.
    pub(super) fn rests(&self) {
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn is_late(&self) -> bool {
        let due = *self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.is_some_and(|due| Instant::now() > due)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::ffi::OsString;

    use super::*;

    fn environment(socket: &OsStr, microseconds: Option<u64>) -> ServiceEnvironment {
        ServiceEnvironment {
            notify_socket: Some(socket.to_owned()),
            watchdog_microseconds: microseconds,
            watchdog_process: None,
        }
    }

    fn hears(listener: &UnixDatagram) -> Option<String> {
        let mut buffer = [0; 64];
        let read = listener.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..read]).into_owned())
    }

    #[test]
    fn sockets_are_paths_or_abstract_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("hansard-test-{}", std::process::id());
        let by_path = UnixDatagram::bind(&path).unwrap();
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let abstract_name = OsString::from(format!("@{name}"));
        for (listener, named) in [(by_path, path.into_os_string()), (by_name, abstract_name)] {
            let manager = Manager::find(&environment(&named, None)).unwrap();
            manager.is_ready();
            assert_eq!(hears(&listener).as_deref(), Some("READY=1"));
            manager.stops();
            assert_eq!(hears(&listener).as_deref(), Some("STOPPING=1"));
        }
        for wrong in ["", "@", "relative", "vsock:2:1"] {
            assert!(address_of(OsStr::new(wrong)).is_err(), "{wrong}");
        }
        // Nobody listens any more: nothing happens.
        Manager::find(&environment(OsStr::new("/nowhere/at/all"), None)).unwrap().is_ready();
    }

    #[tokio::test]
    async fn an_agent_that_does_not_work_is_silent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        let manager = Manager::find(&environment(path.as_os_str(), Some(20_000))).unwrap();
        let looks = Cell::new(0);
        let (third, seen) = tokio::sync::oneshot::channel();
        let third = Cell::new(Some(third));
        let works = async || {
            looks.set(looks.get() + 1);
            if looks.get() == 3 {
                let _ = third.take().unwrap().send(());
            }
            if looks.get() == 1 { Ok(()) } else { Err("it hangs".to_owned()) }
        };
        tokio::select! {
            () = manager.keep_telling(works) => {}
            _ = seen => {}
        }
        listener.set_nonblocking(true).unwrap();
        assert_eq!(hears(&listener).as_deref(), Some("WATCHDOG=1"));
        assert_eq!(hears(&listener), None);
    }

    #[tokio::test]
    async fn a_pulse_is_late_when_its_time_has_passed() {
        let pulse = Pulse::default();
        assert!(!pulse.is_late(), "nothing is expected yet");
        pulse.lives_for(Duration::MAX);
        assert!(!pulse.is_late());
        pulse.lives_for(Duration::ZERO);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(pulse.is_late());
        pulse.rests();
        assert!(!pulse.is_late());
    }
}
