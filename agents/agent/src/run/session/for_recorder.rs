//! What the agent and the recorder of a session share in its folder besides the spools.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{self, UnixListener};
use std::path::PathBuf;
use std::time::Duration;

use agent_protocol::lines::{self, MAXIMUM_LINE_BYTES};
use agent_protocol::recorder::{
    AcknowledgedSpool, COMMAND_NOTE_NAME, CONTROL_SOCKET_NAME, CommandNote, ControlReply, ControlRequest,
};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Session, StreamSpool};
use crate::durable;
use crate::run::recorder_process::RecorderProcess;
use crate::state_directory::PRIVATE_MODE;

/// How long a recorder may take to answer over its control socket.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

impl Session {
    /// What a recorder gets besides the spools: the socket by which it is spoken to, and the file in which it notes the
    /// process of the command.
    pub(in crate::run) fn open_for_recorder(&self) -> io::Result<(UnixListener, File)> {
        let (_folder, path) = self.control_socket()?;
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(self.folder.join(CONTROL_SOCKET_NAME), fs::Permissions::from_mode(PRIVATE_MODE))?;
        let mut options = OpenOptions::new();
        let note = options.write(true).create_new(true).mode(PRIVATE_MODE);
        Ok((listener, note.open(self.folder.join(COMMAND_NOTE_NAME))?))
    }

    /// A path of the control socket that is short enough for any state directory, and the descriptor it goes through.
    pub(super) fn control_socket(&self) -> io::Result<(OwnedFd, PathBuf)> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&self.folder, flags, Mode::empty())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{CONTROL_SOCKET_NAME}", folder.as_raw_fd()));
        Ok((folder, path))
    }

    /// Asks its recorder, whoever started it. A reply may be a refusal.
    pub(in crate::run) async fn ask_recorder(&self, request: &ControlRequest) -> io::Result<ControlReply> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        let asking = async {
            let (_folder, path) = self.control_socket()?;
            let mut stream = BufReader::new(UnixStream::connect(path).await?);
            stream.write_all(&line).await?;
            let mut answer = String::new();
            stream.take(MAXIMUM_LINE_BYTES as u64).read_line(&mut answer).await?;
            Ok(serde_json::from_str(&answer)?)
        };
        timeout(ANSWERS_WITHIN, asking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// A connection on which its recorder sends what it records from now on.
    pub(in crate::run) fn tap_recorder(&self) -> io::Result<OwnedFd> {
        let (_folder, path) = self.control_socket()?;
        let stream = net::UnixStream::connect(path)?;
        stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
        lines::send(&stream, &ControlRequest::Tap, &[])?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\n") && answer.len() < MAXIMUM_LINE_BYTES {
            let mut byte = [0];
            (&stream).read_exact(&mut byte)?;
            answer.extend_from_slice(&byte);
        }
        match serde_json::from_slice(&answer)? {
            ControlReply::Done => {}
            ControlReply::Refused { reason } => return Err(io::Error::other(reason)),
            ControlReply::State { .. } => {
                return Err(io::Error::other("its answer belongs to another request"));
            }
        }
        stream.set_read_timeout(None)?;
        Ok(stream.into())
    }

    /// Up to where its spools are stored by the control plane.
    pub(in crate::run) fn acknowledged_spools(&self) -> Vec<AcknowledgedSpool> {
        let of_one = |spool: &StreamSpool| AcknowledgedSpool {
            spool: spool.name().clone(),
            bytes: spool.progress().acknowledged_bytes(),
        };
        self.spools.iter().map(of_one).collect()
    }

    /// The process of its command, once that has begun.
    pub(in crate::run) fn command_note(&self) -> Option<CommandNote> {
        if let Some(known) = self.command_note.get() {
            return Some(known.clone());
        }
        // Before that it is empty, and not understood.
        let note: CommandNote = durable::find_json(&self.folder.join(COMMAND_NOTE_NAME)).ok()??;
        Some(self.command_note.get_or_init(|| note).clone())
    }

    /// Whether its recorder lives.
    pub(in crate::run) fn is_recorded_now(&self) -> io::Result<bool> {
        let Some(note) = &self.note.recorder else { return Ok(false) };
        RecorderProcess::find(note)?.map_or(Ok(false), |process| process.lives())
    }
}
