//! workers/traffic
