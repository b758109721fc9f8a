//! The agent as a service: what it tells the service manager, and that the capabilities of its unit are enough.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::bench::{Instance, eventually, service_capabilities, without_root};

struct Manager(UnixDatagram);

impl Manager {
    fn at(address: &SocketAddr) -> Self {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Manager(socket)
    }

    fn hears(&self) -> String {
        let mut buffer = [0; 256];
        let read = self.0.recv(&mut buffer).expect("the agent says something in time");
        String::from_utf8_lossy(&buffer[..read]).into_owned()
    }
}

#[test]
fn the_service_manager_is_told_when_the_agent_listens_works_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let name = format!("hansard-agent-test-{}", std::process::id());
    for (address, named) in [
        (SocketAddr::from_pathname(&path).unwrap(), path.to_str().unwrap().to_owned()),
        (SocketAddr::from_abstract_name(&name).unwrap(), format!("@{name}")),
    ] {
        let manager = Manager::at(&address);
        let mut instance = Instance::new()
            .with_run_variable("NOTIFY_SOCKET", &named)
            .with_run_variable("WATCHDOG_USEC", "300000");
        instance.enrol();
        instance.start_agent();
        assert_eq!(manager.hears(), "READY=1");
        // The first look is at once; each further one is a new proof.
        for _ in 0..4 {
            assert_eq!(manager.hears(), "WATCHDOG=1");
        }
        // Also while the control plane is away, and a session is cut.
        instance.control_plane.state().away = true;
        let (output, _) = instance.record(&["sh", "-c", "echo recorded; exit 3"]);
        assert_eq!(output.status.code(), Some(3));
        for _ in 0..4 {
            assert_eq!(manager.hears(), "WATCHDOG=1");
        }
        assert_eq!(instance.stop_agent(), Some(0));
        let last = eventually("the agent says that it stops", || {
            let said = manager.hears();
            (said != "WATCHDOG=1").then_some(said)
        });
        assert_eq!(last, "STOPPING=1");
    }
}

#[test]
fn an_agent_that_hangs_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Manager::at(&SocketAddr::from_pathname(&path).unwrap());
    let mut instance = Instance::new()
        .with_run_variable("NOTIFY_SOCKET", path.to_str().unwrap())
        .with_run_variable("WATCHDOG_USEC", "300000");
    instance.enrol();
    instance.start_agent();
    assert_eq!(manager.hears(), "READY=1");
    assert_eq!(manager.hears(), "WATCHDOG=1");
    let pid = rustix::process::Pid::from_raw(i32::try_from(instance.agent_pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    manager.0.set_nonblocking(true).unwrap();
    let mut buffer = [0; 64];
    while manager.0.recv(&mut buffer).is_ok() {}
    manager.0.set_nonblocking(false).unwrap();
    manager.0.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    assert!(manager.0.recv(&mut buffer).is_err(), "a stopped agent is silent");
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    assert_eq!(manager.hears(), "WATCHDOG=1");
}

/// Every agent of these tests that root starts has no more than the unit's capabilities.
#[test]
fn the_agent_has_the_capabilities_of_its_unit_alone() {
    if !rustix::process::geteuid().is_root() {
        without_root("only root has capabilities to give away");
        return;
    }
    let instance = Instance::running();
    let status = std::fs::read_to_string(format!("/proc/{}/status", instance.agent_pid())).unwrap();
    let set = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    // chown, fowner, kill, linux_immutable and sys_ptrace, by their numbers in the kernel.
    let expected = [0, 3, 5, 9, 19].into_iter().map(|number| 1 << number).sum::<u64>();
    assert_eq!(set("CapEff:"), expected, "{:?}", service_capabilities());
    assert_eq!(set("CapBnd:"), expected);
    assert_eq!(set("NoNewPrivs:"), 1);
}
