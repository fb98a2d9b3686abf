//! The checked types of this crate as schemas of the REST API's document: their patterns and bounds are those that their
//! constructors check. What no pattern can say has a `format` with a name of its own.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, SchemaFormat, schema::Type},
};

use crate::{
    hash::ContentHash,
    index::IndexDigest,
    name::{FileName, GroupName, MAX_FILE_NAME, PeerName, UserName, Visibility},
    peer_id::PeerId,
    rest::placement::MAX_PATTERN,
};

const HEX32: &str = "^[0-9a-f]{64}$";

fn text(pattern: &str, description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern))
        .description(Some(description))
}

macro_rules! schema_of {
    ($type:ty, $name:literal, $build:expr) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $build.into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    };
}

schema_of!(
    ContentHash,
    "ContentHash",
    text(HEX32, "A content's BLAKE3 hash: what `b3sum` prints.")
);
schema_of!(
    PeerId,
    "PeerId",
    text(HEX32, "SHA-256 of the peer's DER SubjectPublicKeyInfo.")
);
schema_of!(
    IndexDigest,
    "IndexDigest",
    text(HEX32, "The XOR of BLAKE3 over each hold's canonical form.")
);
schema_of!(
    UserName,
    "UserName",
    text("^[a-z0-9][a-z0-9._-]{0,31}$", "The name of an account.")
);
schema_of!(
    GroupName,
    "GroupName",
    text("^[a-z0-9][a-z0-9._-]{0,31}$", "The name of a group of accounts.")
);
schema_of!(
    PeerName,
    "PeerName",
    text(
        "^[a-z0-9][a-z0-9._-]{0,62}$",
        "The name of a peer, unique in its directory."
    )
);
schema_of!(
    Visibility,
    "Visibility",
    text(
        "^(public|private|group:[a-z0-9][a-z0-9._-]{0,31})$",
        "Who may see a name: every account, the owner's account alone, or the members of a group."
    )
);
schema_of!(
    FileName,
    "FileName",
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::Custom("file-name".to_owned())))
        .min_length(Some(1))
        .max_length(Some(MAX_FILE_NAME))
        .description(Some(
            "The name of a file: NFC, at most 255 bytes in UTF-8, without \"/\", control or direction-changing characters, \
             and not \".\" or \"..\"."
        ))
);

/// A socket's address in schemas.
pub struct SocketAddress;

schema_of!(
    SocketAddress,
    "SocketAddress",
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::Custom("socket-address".to_owned())))
        .description(Some(
            "An IPv4 address and a port, or an IPv6 address in brackets and a port."
        ))
        .examples(["192.0.2.1:7401", "[2001:db8::1]:7401"])
);

/// A peer's name or id, or a pattern of names, in schemas.
pub struct PeerPattern;

schema_of!(
    PeerPattern,
    "PeerPattern",
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(MAX_PATTERN))
        .description(Some(
            "A peer's name or id, or a pattern of names with \"*\" and \"?\"."
        ))
);
