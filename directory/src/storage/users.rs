//! Accounts.

use jiff::Timestamp;
use p2p_proto::{GroupName, UserName};
use uuid::Uuid;

use super::Reply;

/// An account to be made.
pub struct NewUser {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: UserName,
    /// PHC string of its password.
    pub password_hash: String,
    /// It may administer.
    pub admin: bool,
    /// The groups that it is a member of.
    pub groups: Vec<GroupName>,
}

/// A password to be set.
pub struct NewPassword {
    /// Whose.
    pub user: Uuid,
    /// PHC string of the one that was shown for it: nothing happens when the account has another one by now, or is
    /// disabled. An admin need not show one.
    pub shown: Option<String>,
    /// PHC string of the new one.
    pub hash: String,
}

/// What came of making an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserAdded {
    /// It is there.
    Done,
    /// The name is taken.
    NameTaken,
    /// There is no such group; nothing was made.
    NoGroup(GroupName),
}

/// An account.
#[derive(Clone)]
pub struct Account {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: UserName,
    /// PHC string of its password.
    pub password_hash: String,
    /// It may administer.
    pub admin: bool,
    /// It cannot log in.
    pub disabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// The groups that it is a member of, by name.
    pub groups: Vec<GroupName>,
}

/// Keeps accounts.
pub trait UserStore: Send + Sync {
    /// Makes the account, as a member of its groups.
    fn add_user(&self, user: NewUser) -> Reply<'_, UserAdded>;

    /// All, by name.
    fn users(&self) -> Reply<'_, Vec<Account>>;

    /// The account of this name.
    fn user<'a>(&'a self, name: &'a UserName) -> Reply<'a, Option<Account>>;

    /// Disables: its sessions and leases end and its peers go on the deny-list. Enables: its peers leave that list.
    /// False when there is no such account.
    fn set_disabled<'a>(&'a self, name: &'a UserName, disabled: bool) -> Reply<'a, bool>;

    /// Sets the password; false when there is no such account, or another password than the one shown.
    fn set_password(&self, new: NewPassword) -> Reply<'_, bool>;

    /// Removes the account, its sessions, peers and publications; its peers go on the deny-list. False when there is no
    /// such account.
    fn remove_user<'a>(&'a self, name: &'a UserName) -> Reply<'a, bool>;
}
