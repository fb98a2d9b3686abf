//! The directory as this daemon sees it: [`client`] speaks REST to it, [`pings`] keeps the lease and the session alive,
//! [`index`] tells it what this peer holds, [`happenings`] hears what happened elsewhere, [`link`] remembers how well that
//! goes.

pub mod client;
mod happenings;
pub mod index;
pub mod link;
pub mod pings;
