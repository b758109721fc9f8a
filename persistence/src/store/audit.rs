//! The audit writer.
pub(super) struct AuditWriter;
