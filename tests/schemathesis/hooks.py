"""What schemathesis cannot know of the directory's API: texts that no pattern describes, and how to have a session."""

import json
import os
import ssl
import string
import unicodedata
import urllib.request

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
# Something to find.
post(
    "/publications",
    {"id": "018f0000-0000-7000-8000-000000000001", "name": "scan.tar", "hash": "ab" * 32, "size": 7, "visibility": "public"},
    TOKEN,
)


@schemathesis.auth()
class Session:
    """The main session; for a logout one of its own, since it ends."""

    def get(self, case, context):
        return log_in(OTHER, "leaves") if case.operation.path.endswith("/logout") else TOKEN

    def set(self, case, data, context):
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


# `cache_by_key` would keep a session that has ended.
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
