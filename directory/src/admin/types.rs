//! The bodies of the admin API, shared by its server and its client.

use jiff::Timestamp;
use p2p_proto::UserName;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Where accounts are.
pub const USERS: &str = "/admin/v1/users";

/// A password on its way; never printed by accident.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a password.
    #[must_use]
    pub fn new(password: &str) -> Self {
        Self(password.to_owned())
    }

    /// The password, to be shown or hashed.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.clone())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// Body of `POST /admin/v1/users`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddUser {
    /// Its name.
    pub name: UserName,
    /// Its password; a strong one is made when absent.
    pub password: Option<Secret>,
    /// It may administer.
    pub admin: bool,
}

/// Body of `POST /admin/v1/users/{name}/passwd`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    /// The password; a strong one is made when absent.
    pub password: Option<Secret>,
}

/// An account.
#[derive(Serialize, Deserialize)]
pub struct User {
    /// Its name.
    pub name: UserName,
    /// Its id.
    pub id: Uuid,
    /// It may administer.
    pub admin: bool,
    /// It cannot log in.
    pub disabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Answer of `GET /admin/v1/users`.
#[derive(Serialize, Deserialize)]
pub struct Users {
    /// By name.
    pub users: Vec<User>,
}

/// Answer where a password may have been made.
#[derive(Serialize, Deserialize)]
pub struct UserWithPassword {
    /// The account.
    #[serde(flatten)]
    pub user: User,
    /// The password, if it was made here; it is told only this once.
    pub password: Option<Secret>,
}
