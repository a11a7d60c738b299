//! workflows/domain
