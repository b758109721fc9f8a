//! FORMAT.md is checked.
