//! What each endpoint takes, gives and refuses.

use p2p_proto::{
    ContentHash,
    rest::{
        events::{Events, EventsQuery},
        index::{IndexDelta, IndexResponse},
        location::{LocateResponse, PeersResponse},
        placement::{PlaceRequest, PlaceResponse},
        problem::ProblemKind,
        publications::{
            CopiesRequest, CopiesResponse, FileInfo, Publication, PublishRequest, RefQuery, ReleaseRequest,
            SearchQuery, SearchResponse,
        },
        reports::ReportRequest,
        session::{
            Credentials, LoginRequest, LoginResponse, Me, PasswordRequest, PingRequest, PingResponse,
            RenewRequest,
        },
    },
};
use serde_json::{Value, json};

use super::{Endpoint, Schemas};

const TEXT: &str = "text/plain; charset=utf-8";

fn text() -> Value {
    json!({ "type": "string" })
}

fn publication_id() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

/// All of them.
pub(super) fn all(schemas: &mut Schemas) -> Vec<Endpoint> {
    let mut all = of_sessions(schemas);
    all.extend(of_publications(schemas));
    all.extend(of_questions(schemas));
    all.extend(of_the_service());
    all
}

fn of_sessions(schemas: &mut Schemas) -> Vec<Endpoint> {
    use ProblemKind::{ApiLevel, BadCredentials, Forbidden, Internal, TooMany, Unavailable};
    vec![
        Endpoint::new(
            "post",
            "/login",
            "An account and its password for a session and a certificate",
        )
        .body(&schemas.of::<LoginRequest>())
        .json(schemas.of::<LoginResponse>())
        .refuses(&[
            BadCredentials,
            Forbidden,
            ApiLevel,
            TooMany,
            Internal,
            Unavailable,
        ]),
        Endpoint::new(
            "post",
            "/session/renew",
            "A fresh certificate for the session's key",
        )
        .session()
        .body(&schemas.of::<RenewRequest>())
        .json(schemas.of::<Credentials>())
        .refuses(&[Forbidden, ApiLevel]),
        Endpoint::new("post", "/logout", "Ends the session and un-lists the peer")
            .session()
            .nothing(),
        Endpoint::new("post", "/ping", "The heartbeat")
            .session()
            .body(&schemas.of::<PingRequest>())
            .json(schemas.of::<PingResponse>()),
        Endpoint::new("get", "/me", "Who the caller is")
            .session()
            .json(schemas.of::<Me>()),
        Endpoint::new(
            "post",
            "/me/password",
            "Another password for the caller's account",
        )
        .session()
        .body(&schemas.of::<PasswordRequest>())
        .nothing()
        .refuses(&[BadCredentials]),
    ]
}

fn of_publications(schemas: &mut Schemas) -> Vec<Endpoint> {
    use ProblemKind::{Conflict, IndexGap, LastCopy, NotFound};
    vec![
        Endpoint::new("post", "/publications", "Publishes a version of a name")
            .session()
            .body(&schemas.of::<PublishRequest>())
            .json(schemas.of::<Publication>())
            .refuses(&[Conflict, NotFound]),
        Endpoint::new(
            "delete",
            "/publications/{id}",
            "Withdraws the caller's own publication",
        )
        .session()
        .part("id", "The publication's id.", &publication_id())
        .nothing()
        .refuses(&[NotFound]),
        Endpoint::new("post", "/publications/{id}/release", "May the caller's copy go?")
            .session()
            .part("id", "The publication's id.", &publication_id())
            .body(&schemas.of::<ReleaseRequest>())
            .nothing()
            .refuses(&[NotFound, LastCopy]),
        Endpoint::new("post", "/index", "What changed in the caller's holds")
            .session()
            .body(&schemas.of::<IndexDelta>())
            .json(schemas.of::<IndexResponse>())
            .refuses(&[IndexGap]),
        Endpoint::new("post", "/upload", "On which peers to place copies")
            .session()
            .body(&schemas.of::<PlaceRequest>())
            .json(schemas.of::<PlaceResponse>())
            .refuses(&[NotFound]),
        Endpoint::new("post", "/reports", "A holder gave what is not the content")
            .session()
            .body(&schemas.of::<ReportRequest>())
            .nothing()
            .refuses(&[NotFound]),
    ]
}

fn of_questions(schemas: &mut Schemas) -> Vec<Endpoint> {
    use ProblemKind::{Ambiguous, Invalid, NotFound};
    vec![
        Endpoint::new(
            "get",
            "/download",
            "What a reference means, who has it, and a grant to read it",
        )
        .session()
        .query::<RefQuery>()
        .json(schemas.of::<LocateResponse>())
        .refuses(&[NotFound, Ambiguous]),
        Endpoint::new(
            "get",
            "/search",
            "The newest version of each name that the caller may see",
        )
        .session()
        .query::<SearchQuery>()
        .json(schemas.of::<SearchResponse>())
        .refuses(&[Invalid]),
        Endpoint::new("post", "/copies", "How many peers have each of these files")
            .session()
            .body(&schemas.of::<CopiesRequest>())
            .json(schemas.of::<CopiesResponse>()),
        Endpoint::new(
            "get",
            "/files",
            "Everything about the file that a reference means",
        )
        .session()
        .query::<RefQuery>()
        .json(schemas.of::<FileInfo>())
        .refuses(&[NotFound, Ambiguous]),
        Endpoint::new(
            "get",
            "/files/{hash}",
            "Everything about the file with this content",
        )
        .session()
        .part("hash", "The content's hash.", &schemas.of::<ContentHash>())
        .json(schemas.of::<FileInfo>())
        .refuses(&[NotFound]),
        Endpoint::new("get", "/peers", "Every peer")
            .session()
            .json(schemas.of::<PeersResponse>()),
        Endpoint::new("get", "/events", "What happened since")
            .session()
            .query::<EventsQuery>()
            .json(schemas.of::<Events>())
            .refuses(&[Invalid]),
    ]
}

fn of_the_service() -> Vec<Endpoint> {
    let plain = |path, summary| Endpoint::new("get", path, summary);
    vec![
        plain("/ca", "The CA bundle in PEM").answers("200", "Done", Some(("application/x-pem-file", text()))),
        plain("/healthz", "The program runs").answers("200", "It does", Some((TEXT, text()))),
        plain("/readyz", "The program can serve")
            .answers("200", "It can", Some((TEXT, text())))
            .refuses(&[ProblemKind::Unavailable]),
        plain("/openapi.json", "This document").json(json!({ "type": "object" })),
    ]
}
