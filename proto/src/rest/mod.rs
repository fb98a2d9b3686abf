//! The bodies of the directory's REST API (`/api/v1`), one module per resource. Both sides compile against these types;
//! times are RFC 3339 in UTC, ids are strings, sizes are bytes.

pub mod events;
pub mod index;
pub mod location;
pub mod placement;
pub mod problem;
pub mod publications;
pub mod reports;
pub mod session;

/// Every path of the API begins with this.
pub const PREFIX: &str = "/api/v1";
