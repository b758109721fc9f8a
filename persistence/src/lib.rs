//! Storage: rows in a database and objects in a store.
//!
//! [`Store`] is concrete and runs on SQLite, PostgreSQL and MariaDB. Before a caller is known it answers only what
//! authentication needs; everything else requires a [`Granted`](domain::gate::Granted) of an action that the catalogue
//! permits to touch it, and takes the account from the grant. Changes are decided in `domain` and applied by
//! [`Store::apply`]: the change, its audit row, its counters and its revision in one transaction. Decisions about users,
//! groups, roles and policies depend on the current rows; their methods read these under a lock, ask `domain::identity`,
//! and write its answer, also in one transaction.
//!
//! Names follow one rule: `find_` returns an `Option`, `get_` returns an error when the row does not exist, `list_`
//! returns a page, and `all_` everything; a small collection that belongs to one entity is named after it, as in
//! `groups_of_user`.
//!
//! The grant of an action that does not permit a call does not compile. An action that lists recordings:
//!
//! ```
//! use domain::actions::ListInstanceRecords;
//! use domain::gate::Granted;
//! use persistence::{RecordingQuery, Store};
//!
//! async fn list(store: &Store, granted: &Granted<ListInstanceRecords>, query: RecordingQuery) {
//!     let _ = store.list_recordings(granted, query).await;
//! }
//! ```
//!
//! The same with the grant of an action that only reads configurations:
//!
//! ```compile_fail,E0277
//! use domain::actions::GetInstanceRecordConfig;
//! use domain::gate::Granted;
//! use persistence::{RecordingQuery, Store};
//!
//! async fn list(store: &Store, granted: &Granted<GetInstanceRecordConfig>, query: RecordingQuery) {
//!     let _ = store.list_recordings(granted, query).await;
//! }
//! ```
//!
//! Changes are told apart in the same way. The grant of a Set action applies what it decided:
//!
//! ```
//! use domain::actions::SetInstanceRecordConfig;
//! use domain::audit::AuditEvent;
//! use domain::gate::Granted;
//! use domain::record_config::RecordConfigChanged;
//! use persistence::Store;
//!
//! async fn save(store: &Store, granted: &Granted<SetInstanceRecordConfig>, change: RecordConfigChanged, audit: AuditEvent) {
//!     let _ = store.apply(granted, change, audit).await;
//! }
//! ```
//!
//! and the grant of a Get action does not:
//!
//! ```compile_fail,E0277
//! use domain::actions::GetInstanceRecordConfig;
//! use domain::audit::AuditEvent;
//! use domain::gate::Granted;
//! use domain::record_config::RecordConfigChanged;
//! use persistence::Store;
//!
//! async fn save(store: &Store, granted: &Granted<GetInstanceRecordConfig>, change: RecordConfigChanged, audit: AuditEvent) {
//!     let _ = store.apply(granted, change, audit).await;
//! }
//! ```
//!
//! Objects are behind [`ObjectStore`](objects::ObjectStore), which [`ObjectStores`](objects::ObjectStores) finds by its
//! location; [`FolderStores`](objects::FolderStores) keeps them in a folder of this machine.

mod audit;
mod changes;
mod checkpoints;
mod compiled_policies;
mod connecting;
mod continuity;
mod database;
mod dialect;
mod durability;
mod error;
mod exclusive_use;
mod generations;
mod instances;
mod lists;
mod markers;
mod migrations;
mod nonces;
pub mod objects;
mod pages;
#[cfg(test)]
mod plans;
mod pool;
mod reconnecting;
mod rows;
mod since_boot;
mod store;
mod turn;

pub use audit::days::{ArchivedDays, InvalidDays};
pub use audit::kept_anchors::KeptAnchors;
pub use audit::log::{AuditFolder, AuditLogError};
pub use audit::verify::{
    AuditFault, AuditFinding, AuditVerdict, AuditVerification, CheckedFiles, CheckedWriter,
};
pub use changes::{
    AgentEnrolled, JoinTokenIssued, Permits, RecordingOpened, RecordingSealedAndDelivered,
    SegmentAcknowledgedAndNextPermitted, UploadPermitted,
};
pub use continuity::{
    AgentRows, ContinuityChange, ContinuityRows, MissingCounts, MissingOfAgent, RecordingLink, RecordingRow,
};
pub use database::{DatabaseUrl, InvalidDatabaseUrl};
pub use durability::{LossySetting, LossySettings};
pub use error::{CorruptRow, StoreError};
pub use exclusive_use::ExclusiveUse;
pub use instances::InstanceEntry;
pub use lists::{
    AgentPage, AuditFilter, AuditPage, AuditQuery, DecisionKind, PageRequest, RecordingPage, RecordingQuery,
    SegmentRow, Swept,
};
pub use markers::{MarkerPage, MarkerRequest};
pub use store::{
    AuditExport, AuditExportError, AuditExports, AuditPruning, Change, Deciding, Heard, HeldAgainst, InForce,
    KeepAnchorsError, LinkLease, LinkNoted, LinkTaken, ListsWaiting, NonceClaim, OfAgent, Once, PutAway,
    RemovedAgent, Settled, Store, TagPage, TagQuery, Taking, WithheldPruning,
};
