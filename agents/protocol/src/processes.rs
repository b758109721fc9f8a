//! What the kernel says of a process of this machine.

use std::fs;
use std::io;

use rustix::io::Errno;

/// The facts of `/proc/PID/stat` that this project uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessFacts {
    /// The process that started it, or took it over.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session: the process id of the session's leader.
    pub session: i32,
    /// The number of its controlling terminal's device; 0 without one.
    pub terminal: u64,
    /// When it started, in clock ticks since the machine did. A process id alone may be another process's later.
    pub start_ticks: u64,
}

impl ProcessFacts {
    /// The facts of a process; `None` when it has ended, even if nobody has waited for it.
    ///
    /// # Errors
    /// The file cannot be read, or is not understood.
    pub fn find(process_id: i32) -> io::Result<Option<Self>> {
        let path = format!("/proc/{process_id}/stat");
        let stat = match fs::read(&path) {
            Ok(stat) => stat,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // It ended between the opening and the reading.
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => return Ok(None),
            Err(error) => return Err(error),
        };
        match parse(&stat) {
            Some((b'Z' | b'X', _)) => Ok(None),
            Some((_, facts)) => Ok(Some(facts)),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{path} is not understood"))),
        }
    }
}

/// Whether a process is still there, perhaps only until somebody waits for it.
///
/// # Errors
/// The file cannot be read, or is not understood.
pub fn is_there(process_id: i32, start_ticks: u64) -> io::Result<bool> {
    match fs::read(format!("/proc/{process_id}/stat")) {
        Ok(stat) => Ok(parse(&stat).is_some_and(|(_, facts)| facts.start_ticks == start_ticks)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a process is there and stopped, by a signal or by a debugger.
///
/// # Errors
/// The file cannot be read, or is not understood.
pub fn is_stopped(process_id: i32, start_ticks: u64) -> io::Result<bool> {
    match fs::read(format!("/proc/{process_id}/stat")) {
        Ok(stat) => Ok(parse(&stat)
            .is_some_and(|(state, facts)| b"Tt".contains(&state) && facts.start_ticks == start_ticks)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The effective user of a process; `None` when it has ended.
///
/// # Errors
/// The file cannot be read, or is not understood.
pub fn effective_user(process_id: i32) -> io::Result<Option<u32>> {
    let path = format!("/proc/{process_id}/status");
    let status = match fs::read_to_string(&path) {
        Ok(status) => status,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => return Ok(None),
        Err(error) => return Err(error),
    };
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let effective = users.and_then(|users| users.split_ascii_whitespace().nth(1)?.parse().ok());
    effective
        .map(Some)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{path} is not understood")))
}

/// All processes that this one can see, by their ids.
///
/// # Errors
/// `/proc` cannot be read.
pub fn all() -> io::Result<Vec<i32>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        if let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// The state, and the facts. The program's name comes before them, in parentheses, and may contain anything.
fn parse(stat: &[u8]) -> Option<(u8, ProcessFacts)> {
    const START_TIME_AFTER_TERMINAL: usize = 14;
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(&stat[name_end + 1..]).ok()?.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let mut number = || fields.next()?.parse::<i32>().ok();
    let (parent, group, session, terminal) = (number()?, number()?, number()?, number()?);
    let start_ticks = fields.nth(START_TIME_AFTER_TERMINAL)?.parse().ok()?;
    // The kernel prints the device as a signed number.
    let terminal = u64::from(terminal.cast_unsigned());
    Some((state, ProcessFacts { parent, group, session, terminal, start_ticks }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_s_name_may_look_like_the_rest() {
        let rest = " S 1 2 3 34817 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        let facts = ProcessFacts { parent: 1, group: 2, session: 3, terminal: 34817, start_ticks: 4711 };
        assert_eq!(parse(format!("77 (a) Z 1) b){rest}").as_bytes()), Some((b'S', facts)));
        assert_eq!(parse(b"77 (a) S 1 2"), None);
    }

    #[test]
    fn this_process_is_found() {
        let ours = rustix::process::getpid().as_raw_nonzero().get();
        let facts = ProcessFacts::find(ours).unwrap().unwrap();
        assert_eq!(
            Some(facts.parent),
            rustix::process::getppid().map(|parent| parent.as_raw_nonzero().get())
        );
        assert_eq!(facts.start_ticks, ProcessFacts::find(ours).unwrap().unwrap().start_ticks);
        assert_eq!(effective_user(ours).unwrap(), Some(rustix::process::geteuid().as_raw()));
        assert!(all().unwrap().contains(&ours));
        assert_eq!(ProcessFacts::find(i32::MAX).unwrap(), None);
        assert_eq!(effective_user(i32::MAX).unwrap(), None);
    }
}
