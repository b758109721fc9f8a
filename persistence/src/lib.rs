//! What is kept: rows in a database and objects in a store.
//!
//! [`Store`] is concrete and runs on SQLite, PostgreSQL and MariaDB. Before a caller is known it answers only what
//! authentication needs; everything else demands a [`Granted`](domain::gate::Granted) of an action that the
//! catalogue lets touch it, and takes the account from there. Changes are decided in `domain` and applied by
//! [`Store::apply`]: the change, its audit row, its counters and its revision in one transaction. What is decided of
//! users, groups, roles and policies depends on what stands; their methods read it under lock, ask `domain::identity`,
//! and write its answer, in one transaction too.
//!
//! Names follow one rule: `find_` gives what may not be there, `get_` refuses when it is not there, `list_` gives a page,
//! and `all_` everything; what is small and one's own is named by whose it is, as in `groups_of_user`.
//!
//! A grant of an action that may not do something does not compile. An action that lists recordings:
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
//! The same with the grant of an action that reads configurations only:
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
//! Changes are told apart in the same way. The grant of a Set applies what a Set decided:
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
//! and the grant of a Get does not:
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
mod compiled_policies;
mod connecting;
mod continuity;
mod database;
mod dialect;
mod error;
mod instances;
mod lists;
mod markers;
mod migrations;
pub mod objects;
mod pages;
mod rows;
mod store;

pub use audit::days::{ArchivedDays, InvalidDays};
pub use audit::kept_anchors::KeptAnchors;
pub use audit::log::{AuditFolder, AuditLogError};
pub use audit::verify::{
    AuditFault, AuditFinding, AuditVerdict, AuditVerification, CheckedFiles, CheckedWriter,
};
pub use changes::{
    AgentEnrolled, JoinTokenIssued, Permits, RecordingOpened, SegmentAcknowledgedAndNextPermitted,
    UploadPermitted,
};
pub use continuity::{
    AgentRows, ContinuityChange, ContinuityRows, MissingCounts, MissingOfAgent, RecordingLink, RecordingRow,
};
pub use database::{DatabaseUrl, InvalidDatabaseUrl};
pub use error::{CorruptRow, StoreError};
pub use instances::InstanceEntry;
pub use lists::{
    AgentPage, AuditFilter, AuditPage, AuditQuery, DecisionKind, PageRequest, RecordingPage, RecordingQuery,
    SegmentRow, Swept,
};
pub use markers::{MarkerPage, MarkerRequest};
pub use store::{
    AuditExport, AuditExportError, AuditExports, Change, HeldAgainst, KeepAnchorsError, LinkTaken,
    ListsWaiting, NonceClaim, PutAway, Store,
};
