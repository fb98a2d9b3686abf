//! The directory as its clients meet it: the real program in this process, on loopback, with a clock that is moved by
//! hand, a temporary state folder, and requests over TLS and over the admin socket.

#![allow(clippy::unwrap_used)]

mod admin;
mod bounds;
mod caps;
mod events;
mod groups;
mod index;
mod leases;
mod limits;
mod log;
mod login;
mod password;
mod placement;
mod privacy;
mod publications;
mod races;
mod references;
mod reports;
mod revoke;
mod search;
mod session;
mod support;
mod trust;
