//! Labels: what files, accounts and peers are called, and who may see a name. A label is data, checked when it is
//! published and again when it is delivered.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// The longest file name, in bytes of UTF-8.
pub const MAX_FILE_NAME: usize = 255;

/// Why a text is no name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadName {
    /// Nothing is left.
    #[error("a name cannot be empty")]
    Empty,
    /// Over [`MAX_FILE_NAME`] bytes.
    #[error("a file name has at most 255 bytes")]
    TooLong,
    /// `.` or `..`.
    #[error("\"{0}\" is a folder's name, not a file's")]
    Dots(String),
    /// A path.
    #[error("a file name has no \"/\"")]
    Slash,
    /// A control character, or one that turns the direction of the text around.
    #[error("a file name has no control or direction-changing characters (found U+{0:04X})")]
    Invisible(u32),
    /// Not an account or peer name.
    #[error(
        "{what} is made of a-z, 0-9, \".\", \"_\" and \"-\", begins with a letter or digit, and has at most {max} characters"
    )]
    Label {
        /// "an account name" or "a peer name".
        what: &'static str,
        /// The longest one.
        max: usize,
    },
    /// Not a visibility.
    #[error("visibility is \"public\", \"private\" or \"group:NAME\"")]
    Visibility,
}

/// The name of a published file: NFC, at most 255 bytes, no `/`, no control or direction-changing characters, not `.`
/// or `..`. A text in another normal form becomes NFC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileName(String);

impl FileName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Characters that make a text look like another one: the direction overrides, embeddings, isolates and marks of
/// Unicode's bidirectional algorithm (UAX #9), and the line and paragraph separators.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

impl FromStr for FileName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        // Bound the work before normalising: NFC never makes a text shorter than a third of its bytes.
        if text.len() > MAX_FILE_NAME * 4 {
            return Err(BadName::TooLong);
        }
        let name: String = text.nfc().collect();
        if name.is_empty() {
            return Err(BadName::Empty);
        }
        if name.len() > MAX_FILE_NAME {
            return Err(BadName::TooLong);
        }
        if name == "." || name == ".." {
            return Err(BadName::Dots(name));
        }
        if name.contains('/') {
            return Err(BadName::Slash);
        }
        match name.chars().find(|&c| c.is_control() || is_invisible(c)) {
            Some(c) => Err(BadName::Invisible(c.into())),
            None => Ok(Self(name)),
        }
    }
}

macro_rules! text_type {
    ($type:ident) => {
        impl TryFrom<String> for $type {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

fn check_label(text: &str, what: &'static str, max: usize) -> Result<String, BadName> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let good = text.len() <= max
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|b| plain(b) || b"._-".contains(&b));
    good.then(|| text.to_owned()).ok_or(BadName::Label { what, max })
}

/// The name of an account: `[a-z0-9][a-z0-9._-]{0,31}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

impl UserName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        check_label(text, "an account name", 32).map(Self)
    }
}

/// The name of a peer, unique in its directory: `[a-z0-9][a-z0-9._-]{0,62}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerName(String);

impl PeerName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PeerName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        check_label(text, "a peer name", 63).map(Self)
    }
}

text_type!(FileName);
text_type!(UserName);
text_type!(PeerName);

/// What the text of a group's visibility begins with.
const GROUP: &str = "group:";

/// The longest name of a group, in bytes.
const MAX_GROUP: usize = 32;

/// The name of a group of accounts: `[a-z0-9][a-z0-9._-]{0,31}`. Kept inline, as the text of its visibility, so that a
/// [`Visibility`] stays a plain value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName {
    text: [u8; GROUP.len() + MAX_GROUP],
    length: u8,
}

impl GroupName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.visibility()[GROUP.len()..]
    }

    fn visibility(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length.into()]).expect("a checked name is ASCII")
    }
}

impl FromStr for GroupName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let whole = format!("{GROUP}{}", check_label(text, "a group name", MAX_GROUP)?);
        let mut text = [0; GROUP.len() + MAX_GROUP];
        text[..whole.len()].copy_from_slice(whole.as_bytes());
        let length = u8::try_from(whole.len()).map_err(|_| BadName::TooLong)?;
        Ok(Self { text, length })
    }
}

impl TryFrom<String> for GroupName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<GroupName> for String {
    fn from(name: GroupName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Who may see a name. Its owner always may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Visibility {
    /// Every account of the directory.
    #[default]
    Public,
    /// The owner's account, on any of its peers.
    Private,
    /// The accounts that are members of the group now.
    Group(GroupName),
}

impl Visibility {
    /// As it is written: `public`, `private` or `group:NAME`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Group(name) => name.visibility(),
        }
    }

    /// The group, if it is that of one.
    #[must_use]
    pub const fn group(&self) -> Option<GroupName> {
        match self {
            Self::Group(name) => Some(*name),
            Self::Public | Self::Private => None,
        }
    }
}

impl FromStr for Visibility {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        match text {
            "public" => Ok(Self::Public),
            "private" => Ok(Self::Private),
            _ => {
                let name = text.strip_prefix(GROUP).ok_or(BadName::Visibility)?;
                name.parse().map(Self::Group)
            }
        }
    }
}

impl TryFrom<String> for Visibility {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<Visibility> for String {
    fn from(visibility: Visibility) -> Self {
        visibility.as_str().to_owned()
    }
}

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests;
