//! Who this daemon is: a key for life, and, while somebody is logged in, a session with the certificate that the
//! directory gave that key.
//!
//! [`key`] owns the key, [`session`] what is known of the current session and its file, [`known`] what outlives it, [`trust`] the first contact with
//! a directory, [`certificate`] what certificates say and the TLS that is made of them, [`login`] the two ways in and out,
//! [`by_config`] the machine's own way in.

pub mod address;
pub mod by_config;
pub mod certificate;
pub mod directory_url;
pub mod key;
pub mod known;
pub mod login;
pub mod renew;
pub mod session;
pub mod trust;
