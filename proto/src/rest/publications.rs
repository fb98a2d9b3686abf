//! `POST /publications`, `DELETE /publications/{id}`, `GET /search` and `GET /files`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::location::Holder;
use crate::{
    hash::ContentHash,
    name::{FileName, UserName, Visibility},
};

/// Body of `POST /publications/{id}/release`: the caller is about to drop its copy, and asks first. Answered with 204, and
/// from then on that copy is no reason to let another one go, until the caller's index says anew that it holds it; or with
/// a 409 `last-copy` problem when no other peer has a copy that is none of those. Of two holders that ask at once one
/// is told to keep it. Nothing else changes: the index tells later that the copy is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// It goes also when it is the last one.
    #[serde(default)]
    pub even_last: bool,
}

/// The most publications that one request asks about.
pub const MAX_COUNTED: usize = 1000;

/// Body of `POST /copies`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CopiesRequest {
    /// Which; at most [`MAX_COUNTED`].
    #[schema(max_items = 1000)]
    pub publications: Vec<Uuid>,
}

/// Answer of `POST /copies`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct CopiesResponse {
    /// Of each that was asked about and is there for the caller.
    pub copies: Vec<CopiesOf>,
}

/// How many peers have all of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopiesOf {
    /// Of which publication.
    pub publication: Uuid,
    /// Peers that are online.
    pub holders_online: u32,
    /// All of them.
    pub holders_total: u32,
}

/// Body of `POST /publications`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// Made by the client (UUIDv7), so that a repeat is harmless.
    pub id: Uuid,
    /// What it is called.
    pub name: FileName,
    /// Its content.
    pub hash: ContentHash,
    /// Bytes of the content.
    #[schema(maximum = 9223372036854775807_u64)]
    pub size: u64,
    /// Who may see it; a group that the account is a member of.
    pub visibility: Visibility,
}

/// A published file. The same bytes published again under a name are the same publication; other bytes are the next
/// version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Publication {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub owner: UserName,
    /// What it is called.
    pub name: FileName,
    /// Counted from 1.
    pub version: u64,
    /// Its content.
    pub hash: ContentHash,
    /// Bytes of the content.
    pub size: u64,
    /// Who may see it.
    pub visibility: Visibility,
    /// When it was published first.
    #[schema(value_type = String, format = DateTime)]
    pub published_at: Timestamp,
}

/// Query of `GET /search`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SearchQuery {
    /// Part of a name, any case; empty for all. At most 1020 bytes.
    #[serde(default)]
    #[param(format = "search-text", max_length = 1020)]
    pub q: String,
    /// Only this account's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(pattern = "^[a-z0-9][a-z0-9._-]{0,31}$", nullable = false)]
    pub owner: Option<String>,
    /// At most so many, 1 to 1000; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000, nullable = false)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before; at most 4096 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(format = "search-cursor", max_length = 4096, nullable = false)]
    pub cursor: Option<String>,
}

/// Answer of `GET /search`: the newest version of each name that the caller may see.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SearchResponse {
    /// By name, then owner.
    pub files: Vec<SearchHit>,
    /// How many there are in all.
    pub total: u64,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// One line of a search.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SearchHit {
    /// The file.
    #[serde(flatten)]
    pub publication: Publication,
    /// Complete holders with a lease.
    pub holders_online: u32,
    /// All complete holders.
    pub holders_total: u32,
}

/// Query of `GET /files` and `GET /download`.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RefQuery {
    /// A reference as people write it, or `id:` and a publication's id.
    #[serde(rename = "ref")]
    #[param(format = "file-reference", min_length = 1, max_length = 1024)]
    pub reference: String,
}

/// Answer of `GET /files?ref=` and `GET /files/{hash}`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FileInfo {
    /// What the reference means.
    pub publication: Publication,
    /// Every version of that name that the caller may see, newest first.
    pub versions: Vec<Publication>,
    /// Who holds this publication's content, online first.
    pub holders: Vec<Holder>,
}
