"""What schemathesis cannot know of the directory's API: texts that no pattern describes, and how to have a session."""

import json
import os
import ssl
import string
import unicodedata
import urllib.request
import uuid

import schemathesis
from hypothesis import strategies as st

BASE = os.environ["DIRECTORY_URL"] + "/api/v1"
TLS = ssl.create_default_context(cafile=os.environ["DIRECTORY_CA"])
USER, PASSWORD = "ana", os.environ["DIRECTORY_PASSWORD"]
# One request of each key: the main session's, and one for whatever logs in and out.
MAIN, OTHER = (open(path, encoding="ascii").read() for path in os.environ["DIRECTORY_CSRS"].split(":"))


def post(path, body, token=None):
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(BASE + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, context=TLS, timeout=20) as answer:
        return json.load(answer)


def log_in(csr, name):
    body = {
        "user": USER,
        "password": PASSWORD,
        "peer_name": name,
        "csr": csr,
        "addresses": [],
        "api_level": 1,
    }
    return post("/login", body)["session_token"]


TOKEN = log_in(MAIN, "schemathesis")
# Something to find, and something to withdraw.
PUBLICATION, HASH = "018f0000-0000-7000-8000-000000000001", "ab" * 32
WITHDRAWN = "018f0000-0000-7000-8000-000000000002"


def publication(publication_id, name):
    return {"id": publication_id, "name": name, "hash": HASH, "size": 7, "visibility": "public"}


post("/publications", publication(PUBLICATION, "scan.tar"), TOKEN)
post("/publications", publication(WITHDRAWN, "old.tar"), TOKEN)

# A request that must succeed, of each endpoint for which a made-up one seldom does.
GOOD = {
    "POST /login": {
        "body": {
            "user": USER,
            "password": PASSWORD,
            "peer_name": "leaves",
            "csr": OTHER,
            "addresses": [],
            "api_level": 1,
        }
    },
    "POST /session/renew": {"body": {"csr": MAIN, "api_level": 1}},
    "POST /me/password": {"body": {"old": PASSWORD, "new": PASSWORD}},
    "POST /publications": {"body": publication(PUBLICATION, "scan.tar")},
    "DELETE /publications/{id}": {"path_parameters": {"id": WITHDRAWN}},
    "POST /publications/{id}/release": {"path_parameters": {"id": PUBLICATION}, "body": {"even_last": True}},
    "POST /index": {
        "body": {
            "index_id": "018f0000-0000-7000-8000-000000000003",
            "after_seq": 0,
            "seq": 0,
            "digest": "0" * 64,
            "changes": [],
        }
    },
    "POST /copies": {"body": {"publications": [PUBLICATION]}},
    "POST /upload": {"body": {"publication": PUBLICATION, "copies": 1}},
    "POST /reports": {"body": {"publication": PUBLICATION, "holder": "cd" * 32, "fault": "bytes"}},
    "GET /download": {"query": {"ref": "scan.tar"}},
    "GET /files": {"query": {"ref": "scan.tar"}},
    "GET /files/{hash}": {"path_parameters": {"hash": HASH}},
}


def whole(value):
    """JSON Schema calls 1.0 an integer; the API takes integers that are written as such, as RFC 8259 lets it."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return value


def often(text, known, looks_right):
    """Every other good value becomes one that is there, so that more than "not found" is asked."""
    return known if isinstance(text, str) and looks_right(text) and hash_of(text) % 2 else text


def hash_of(text):
    return sum(text.encode("utf-8", "replace"))


def is_uuid(text):
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def is_hash(text):
    return len(text) == 64 and all(digit in "0123456789abcdef" for digit in text)


@schemathesis.hook
def map_body(context, body):
    body = whole(body)
    if isinstance(body, dict) and "publication" in body:
        body["publication"] = often(body["publication"], PUBLICATION, is_uuid)
    return body


@schemathesis.hook
def map_path_parameters(context, parameters):
    if parameters and "hash" in parameters:
        parameters["hash"] = often(parameters["hash"], HASH, is_hash)
    if parameters and "id" in parameters and context.operation.path.endswith("/release"):
        parameters["id"] = often(parameters["id"], PUBLICATION, is_uuid)
    return parameters


@schemathesis.hook
def before_add_examples(context, examples):
    good = GOOD.get(label(context.operation))
    if good:
        media_type = {"media_type": "application/json"} if "body" in good else {}
        # What is added here gets no session by itself, and one that it has is taken for a made-up one.
        case = context.operation.Case(**good, **media_type, headers={"Authorization": f"Bearer {TOKEN}"})
        case._has_explicit_auth = True
        examples.append(case)


def label(operation):
    return f"{operation.method.upper()} {operation.path}"


@schemathesis.hook
def after_call(context, case, response):
    """Tells schemathesis.sh which endpoints are there, and which were seen to succeed."""
    with open(os.environ["DIRECTORY_CALLS"], "a", encoding="ascii") as calls:
        calls.write(f"{response.status_code} {label(case.operation)}\n")


@schemathesis.auth(refresh_interval=None)
class Session:
    """The main session; for a logout one of its own, since it ends."""

    def get(self, case, context):
        return log_in(OTHER, "leaves") if case.operation.path.endswith("/logout") else TOKEN

    def set(self, case, data, context):
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


def is_invisible(char):
    return unicodedata.category(char) == "Cc" or char in "\u061c\u200e\u200f\u2028\u2029\ufeff" or (
        "\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069"
    )


TEXT = st.characters(exclude_categories=("Cs", "Cc")).filter(lambda char: not is_invisible(char))
NAMES = (
    st.one_of(st.just("scan.tar"), st.text(TEXT, min_size=1, max_size=60))
    .map(lambda name: unicodedata.normalize("NFC", name.replace("/", "_")))
    .filter(lambda name: name not in (".", "..") and 0 < len(name.encode()) <= 255)
)
ADDRESSES = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(0, 65535)).map(lambda at: f"{at[0]}:{at[1]}"),
    st.tuples(st.ip_addresses(v=6), st.integers(0, 65535)).map(lambda at: f"[{at[0]}]:{at[1]}"),
)
schemathesis.openapi.format("file-name", NAMES)
schemathesis.openapi.format("file-reference", st.one_of(NAMES, st.just("ana/scan.tar@1"), st.just("ab" * 32)))
# Dialled back at a login, so none but this machine's.
schemathesis.openapi.format("socket-address", st.one_of(st.integers(1, 65535).map(lambda port: f"127.0.0.1:{port}"), ADDRESSES))
schemathesis.openapi.format("pem-csr", st.just(OTHER))
schemathesis.openapi.format("password", st.text(string.printable, min_size=8, max_size=64))
schemathesis.openapi.format("search-text", st.text(TEXT, max_size=250))
# Base64url of a name and an owner: there is one whatever is stored.
schemathesis.openapi.format("search-cursor", st.just("WyJzY2FuLnRhciIsImFuYSJd"))
