//! `GET /openapi.json`: the API as an OpenAPI 3.1 document. The schemas are made from the types that handlers read and
//! answer with; what an endpoint takes, gives and refuses is in [`endpoints`], which a test compares with the router.

mod endpoints;

use std::sync::LazyLock;

use axum::{http::header, response::IntoResponse};
use p2p_proto::rest::{
    PREFIX,
    problem::{CONTENT_TYPE, Problem, ProblemKind, TYPE_PREFIX},
};
use serde_json::{Map, Value, json};
use utoipa::{
    IntoParams, ToSchema,
    openapi::{RefOr, Schema, path::ParameterIn},
};

/// Made once: it does not change while the program runs.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());

pub(super) async fn get() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

/// The schemas of the types that endpoints name.
#[derive(Default)]
struct Schemas(Vec<(String, RefOr<Schema>)>);

impl Schemas {
    /// A reference to the schema of this type, which is in the document from now on.
    fn of<T: ToSchema>(&mut self) -> Value {
        self.0.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.0);
        json!({ "$ref": format!("#/components/schemas/{}", T::name()) })
    }

    fn components(self) -> Map<String, Value> {
        let schemas = self.0.into_iter().map(|(name, schema)| (name, json!(schema)));
        schemas.collect()
    }
}

/// What the document says of one endpoint.
struct Endpoint {
    method: &'static str,
    path: &'static str,
    operation: Value,
    problems: Vec<ProblemKind>,
}

impl Endpoint {
    fn new(method: &'static str, path: &'static str, summary: &str) -> Self {
        let id = format!("{method}{}", path.replace(['/', '{', '}', '.'], "_"));
        Self {
            method,
            path,
            operation: json!({ "operationId": id, "summary": summary, "parameters": [], "responses": {} }),
            problems: Vec::new(),
        }
    }

    /// It needs a session.
    fn session(mut self) -> Self {
        self.operation["security"] = json!([{ "session": [] }]);
        self.refuses(&[
            ProblemKind::NoSession,
            ProblemKind::TooMany,
            ProblemKind::Internal,
            ProblemKind::Unavailable,
        ])
    }

    /// It reads a body in JSON.
    fn body(mut self, schema: &Value) -> Self {
        self.operation["requestBody"] = json!({
            "required": true, "content": { "application/json": { "schema": schema } }
        });
        self.refuses(&[
            ProblemKind::BadRequest,
            ProblemKind::Timeout,
            ProblemKind::TooLarge,
            ProblemKind::Invalid,
        ])
    }

    /// It reads a query.
    fn query<T: IntoParams>(self) -> Self {
        let parameters = T::into_params(|| Some(ParameterIn::Query));
        let with = parameters
            .into_iter()
            .fold(self, |endpoint, parameter| endpoint.parameter(json!(parameter)));
        with.refuses(&[ProblemKind::BadRequest])
    }

    /// A part of its path.
    fn part(self, name: &str, description: &str, schema: &Value) -> Self {
        let parameter = json!({
            "name": name, "in": "path", "required": true, "description": description, "schema": schema
        });
        self.parameter(parameter).refuses(&[ProblemKind::BadRequest])
    }

    fn parameter(mut self, parameter: Value) -> Self {
        if let Some(parameters) = self.operation["parameters"].as_array_mut() {
            parameters.push(parameter);
        }
        self
    }

    /// What it answers when all is well.
    fn answers(mut self, status: &str, description: &str, content: Option<(&str, Value)>) -> Self {
        let mut response = json!({ "description": description });
        if let Some((kind, schema)) = content {
            response["content"] = json!({ kind: { "schema": schema } });
        }
        self.operation["responses"][status] = response;
        self
    }

    fn json(self, schema: Value) -> Self {
        self.answers("200", "Done", Some(("application/json", schema)))
    }

    fn nothing(self) -> Self {
        self.answers("204", "Done", None)
    }

    /// Problems that it may answer with.
    fn refuses(mut self, problems: &[ProblemKind]) -> Self {
        self.problems.extend(problems);
        self
    }

    /// One response for each status, which names the problems that have it.
    fn finish(mut self, problem: &Value) -> (&'static str, &'static str, Value) {
        for first in ProblemKind::ALL {
            let status = first.status();
            let alike: Vec<String> = ProblemKind::ALL
                .into_iter()
                .filter(|kind| kind.status() == status && self.problems.contains(kind))
                .map(|kind| format!("{TYPE_PREFIX}{}", kind.word()))
                .collect();
            if !alike.is_empty() {
                let schema = json!({
                    "allOf": [problem, { "properties": { "type": { "enum": alike }, "status": { "const": status } } }]
                });
                self = self.answers(&status.to_string(), first.title(), Some((CONTENT_TYPE, schema)));
            }
        }
        (self.method, self.path, self.operation)
    }
}

/// The document.
fn document() -> Value {
    let mut schemas = Schemas::default();
    let problem = schemas.of::<Problem>();
    let mut paths = Map::new();
    for endpoint in endpoints::all(&mut schemas) {
        let (method, path, operation) = endpoint.finish(&problem);
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[method] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "p2p-directory",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Accounts, who is alive, who holds what. Errors are RFC 9457 problems with a stable type.",
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": PREFIX }],
        "paths": paths,
        "components": {
            "schemas": schemas.components(),
            "securitySchemes": {
                "session": { "type": "http", "scheme": "bearer", "description": "The session_token of POST /login." }
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ROUTER: &str = include_str!("mod.rs");
    const PAGE: &str = include_str!("../../../docs/rest.md");

    /// `METHOD /path` of every route that the router's source names.
    fn routed() -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for line in ROUTER
            .lines()
            .filter_map(|line| line.trim().strip_prefix(".route(\""))
        {
            let (path, handlers) = line.split_once('"').unwrap();
            for method in ["get", "post", "put", "patch", "delete"] {
                if [" ", "."]
                    .iter()
                    .any(|before| handlers.contains(&format!("{before}{method}(")))
                {
                    found.insert(format!("{} {path}", method.to_uppercase()));
                }
            }
        }
        found
    }

    fn documented(document: &Value) -> BTreeSet<String> {
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        });
        operations.collect()
    }

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let routed = routed();
        assert!(routed.len() >= 20, "{routed:?}");
        assert_eq!(documented(&document()), routed);
    }

    #[test]
    fn the_page_lists_every_route_and_no_other_and_every_problem() {
        let listed: BTreeSet<String> = PAGE
            .lines()
            .filter_map(|line| line.strip_prefix("### `")?.split_once('`'))
            .map(|(endpoint, _)| endpoint.split('?').next().unwrap().to_owned())
            .filter(|endpoint| !endpoint.contains("/admin/"))
            .collect();
        assert_eq!(listed, routed());
        for kind in ProblemKind::ALL {
            assert!(PAGE.contains(&format!("`{}`", kind.word())), "{}", kind.word());
        }
    }

    #[test]
    fn the_page_names_the_problems_of_each_endpoint() {
        let document = document();
        for section in PAGE.split("\n### `").skip(1) {
            let (endpoint, text) = section.split_once('`').unwrap();
            let (method, path) = endpoint.split('?').next().unwrap().split_once(' ').unwrap();
            if path.contains("/admin/") {
                continue;
            }
            let operation = &document["paths"][path][method.to_lowercase()];
            let common = [
                "internal",
                "unavailable",
                "too-many",
                "no-session",
                "bad-request",
                "invalid",
                "timeout",
                "too-large",
            ];
            for response in operation["responses"].as_object().unwrap().values() {
                let types =
                    &response["content"][CONTENT_TYPE]["schema"]["allOf"][1]["properties"]["type"]["enum"];
                for kind in types.as_array().into_iter().flatten() {
                    let word = kind.as_str().unwrap().strip_prefix(TYPE_PREFIX).unwrap();
                    let said = common.contains(&word) || text.contains(&format!("`{word}`"));
                    assert!(said, "{endpoint}: {word}");
                }
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        for part in text.split("\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
