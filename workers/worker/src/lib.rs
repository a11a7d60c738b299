//! workers/worker
