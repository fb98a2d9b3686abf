//! Accounts: how passwords are kept, made and guessed at.

pub mod password;
pub mod throttle;
pub mod words;
