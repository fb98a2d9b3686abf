//! What the two long-running programs share: configuration, logging, life cycle, metrics, the TLS accept
//! loop, Unix sockets.

pub mod accept;
pub mod config;
pub mod lifecycle;
pub mod logging;
pub mod metrics;
pub mod notify;
pub mod once;
pub mod paths;
pub mod tls;
pub mod watchdog;
