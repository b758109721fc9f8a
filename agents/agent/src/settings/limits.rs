//! The settings of `run` that say how much room there must be, and how much of everything one user may take.

use clap::Args;

const DEFAULT_MINIMUM_FREE_BYTES: u64 = 500 * 1024 * 1024;
const DEFAULT_NEARLY_FULL_PERCENT: u8 = 90;
const DEFAULT_NEARLY_FULL_FREE_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// Which part of the least free space is the limit at which running sessions end, unless a setting says it.
const CRITICAL_SHARE: u64 = 5;
const DEFAULT_MOST_SESSIONS_OF_A_USER: usize = 64;
const DEFAULT_MOST_STARTS_OF_A_USER: u32 = 600;
const DEFAULT_MOST_WAITING_RECORDINGS_OF_A_USER: usize = 10_000;
const DEFAULT_MOST_SPOOL_BYTES_OF_A_USER: u64 = 4 * 1024 * 1024 * 1024;

/// How full the spool's disk may become.
#[derive(Debug, Clone, Args)]
pub(crate) struct DiskLimits {
    /// Refuse new sessions when less than this is free on the spool's file system.
    #[arg(long, env = "HANSARD_AGENT_MINIMUM_FREE_BYTES", default_value_t = DEFAULT_MINIMUM_FREE_BYTES, value_name = "BYTES")]
    pub(crate) minimum_free_bytes: u64,
    /// Refuse new sessions also when more than this part of the file system is used, with less than
    /// --nearly-full-free-bytes free; 100 for never.
    #[arg(long, env = "HANSARD_AGENT_NEARLY_FULL_PERCENT", default_value_t = DEFAULT_NEARLY_FULL_PERCENT, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) nearly_full_percent: u8,
    /// With so much free the file system is not nearly full, whatever part of it is used.
    #[arg(long, env = "HANSARD_AGENT_NEARLY_FULL_FREE_BYTES", default_value_t = DEFAULT_NEARLY_FULL_FREE_BYTES, value_name = "BYTES")]
    pub(crate) nearly_full_free_bytes: u64,
    /// End running sessions, one after the other, when less than this is free; a fifth of --minimum-free-bytes unless it
    /// is given.
    #[arg(long, env = "HANSARD_AGENT_CRITICAL_FREE_BYTES", value_name = "BYTES")]
    pub(crate) critical_free_bytes: Option<u64>,
}

impl DiskLimits {
    /// With less free, running sessions end.
    pub(crate) fn critical_free_bytes(&self) -> u64 {
        self.critical_free_bytes.unwrap_or(self.minimum_free_bytes / CRITICAL_SHARE)
    }

    #[cfg(test)]
    pub(crate) fn of_tests(minimum_free_bytes: u64) -> Self {
        DiskLimits {
            minimum_free_bytes,
            nearly_full_percent: DEFAULT_NEARLY_FULL_PERCENT,
            nearly_full_free_bytes: DEFAULT_NEARLY_FULL_FREE_BYTES,
            critical_free_bytes: None,
        }
    }
}

/// How much of the agent one user may have. Root, who can do anything to the agent, may have any number.
#[derive(Debug, Clone, Args)]
pub(crate) struct UserLimits {
    /// How many sessions one user may have recorded at once; root may have any number.
    #[arg(long, env = "HANSARD_AGENT_MOST_SESSIONS_OF_A_USER", default_value_t = DEFAULT_MOST_SESSIONS_OF_A_USER, value_name = "NUMBER")]
    pub(crate) most_sessions_of_a_user: usize,
    /// How many sessions one user may begin in a minute; root may begin any number.
    #[arg(long, env = "HANSARD_AGENT_MOST_STARTS_OF_A_USER", default_value_t = DEFAULT_MOST_STARTS_OF_A_USER, value_name = "NUMBER")]
    pub(crate) most_starts_of_a_user: u32,
    /// How much of the spool one user's recordings may take until they are delivered, and never more than is still free
    /// beside them; root's may take any part.
    #[arg(long, env = "HANSARD_AGENT_MOST_SPOOL_BYTES_OF_A_USER", default_value_t = DEFAULT_MOST_SPOOL_BYTES_OF_A_USER, value_name = "BYTES")]
    pub(crate) most_spool_bytes_of_a_user: u64,
    /// How many recordings of one user may be in the spool until they are delivered, however small; root may have any number.
    #[arg(long, env = "HANSARD_AGENT_MOST_WAITING_RECORDINGS_OF_A_USER", default_value_t = DEFAULT_MOST_WAITING_RECORDINGS_OF_A_USER, value_name = "NUMBER")]
    pub(crate) most_waiting_recordings_of_a_user: usize,
}

impl UserLimits {
    #[cfg(test)]
    pub(crate) fn of_tests(most_starts_of_a_user: u32) -> Self {
        UserLimits {
            most_sessions_of_a_user: DEFAULT_MOST_SESSIONS_OF_A_USER,
            most_starts_of_a_user,
            most_spool_bytes_of_a_user: DEFAULT_MOST_SPOOL_BYTES_OF_A_USER,
            most_waiting_recordings_of_a_user: DEFAULT_MOST_WAITING_RECORDINGS_OF_A_USER,
        }
    }
}
