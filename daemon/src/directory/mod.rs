//! The directory as this daemon sees it: [`client`] speaks REST to it, [`pings`] keeps the lease and the session alive,
//! [`index`] tells it what this peer holds, [`link`] remembers how well that goes.

pub mod client;
pub mod index;
pub mod link;
pub mod pings;
