//! Groups of accounts: who sees what was published to one.

use jiff::Timestamp;
use p2p_proto::{GroupName, UserName};

use super::Reply;

/// A group.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its members, by name.
    pub members: Vec<UserName>,
    /// Versions that are published to it now.
    pub publications: u64,
}

/// What came of changing a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupChange {
    /// It is as it was asked for.
    Done,
    /// There is no such group.
    NoGroup,
    /// There is such a group already.
    Exists,
    /// There is no account of this name; nothing changed.
    NoUser(UserName),
    /// The account is no member; nothing changed.
    NoMember(UserName),
}

/// Keeps groups.
pub trait GroupStore: Send + Sync {
    /// All, by name.
    fn groups(&self) -> Reply<'_, Vec<Group>>;

    /// Makes the group when there is none, and these accounts its members. Without accounts the group must be new.
    fn add_to_group<'a>(&'a self, group: GroupName, users: &'a [UserName]) -> Reply<'a, GroupChange>;

    /// Takes these accounts out of the group. What is published to it is no longer there for them, and their peers'
    /// holds of it are dropped.
    fn remove_from_group<'a>(&'a self, group: GroupName, users: &'a [UserName]) -> Reply<'a, GroupChange>;

    /// Removes the group; what was published to it becomes private. So many versions did, or `None` when there is no such
    /// group.
    fn remove_group(&self, group: GroupName) -> Reply<'_, Option<u64>>;
}
