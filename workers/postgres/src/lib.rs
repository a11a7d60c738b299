//! workers/postgres
