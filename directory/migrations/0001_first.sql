-- The directory's state. Times are milliseconds since 1970 (UTC), ids and hashes are raw bytes.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE users (
    id            BLOB PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    admin         INTEGER NOT NULL,
    disabled      INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE peers (
    id               BLOB PRIMARY KEY,
    owner            BLOB NOT NULL REFERENCES users (id),
    name             TEXT NOT NULL UNIQUE,
    addresses        TEXT NOT NULL,
    index_id         BLOB,
    index_seq        INTEGER NOT NULL DEFAULT 0,
    index_digest     TEXT NOT NULL,
    files            INTEGER NOT NULL DEFAULT 0,
    free_bytes       INTEGER,
    active_transfers INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX peers_by_owner ON peers (owner);

-- A peer is online while expires_at is in the future. "listed" says that its end is still to be told.
CREATE TABLE leases (
    peer       BLOB PRIMARY KEY REFERENCES peers (id) ON DELETE CASCADE,
    epoch      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    last_seen  INTEGER,
    listed     INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX leases_to_end ON leases (expires_at) WHERE listed = 1;

-- Only the SHA-256 of a token is kept.
CREATE TABLE sessions (
    token_hash             BLOB PRIMARY KEY,
    user                   BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    peer                   BLOB NOT NULL REFERENCES peers (id) ON DELETE CASCADE,
    epoch                  INTEGER NOT NULL,
    expires_at             INTEGER NOT NULL,
    certificate_expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_by_peer ON sessions (peer);
CREATE INDEX sessions_by_user ON sessions (user);

-- "asked_visibility" is that of the request which made the row, so that a repeat of it is known.
CREATE TABLE publications (
    id               BLOB PRIMARY KEY,
    owner            BLOB NOT NULL REFERENCES users (id),
    name             TEXT NOT NULL,
    folded           TEXT NOT NULL,
    version          INTEGER NOT NULL,
    hash             BLOB NOT NULL,
    size             INTEGER NOT NULL,
    visibility       TEXT NOT NULL,
    asked_visibility TEXT NOT NULL,
    published_at     INTEGER NOT NULL,
    withdrawn_at     INTEGER,
    UNIQUE (owner, name, version)
) WITHOUT ROWID;
CREATE INDEX publications_by_name ON publications (name, owner, version);
CREATE INDEX publications_by_hash ON publications (hash);

-- state: 1 partial, 2 complete
CREATE TABLE holds (
    peer        BLOB NOT NULL REFERENCES peers (id) ON DELETE CASCADE,
    publication BLOB NOT NULL REFERENCES publications (id) ON DELETE CASCADE,
    state       INTEGER NOT NULL,
    PRIMARY KEY (peer, publication)
) WITHOUT ROWID;
CREATE INDEX holds_by_publication ON holds (publication, state, peer);

CREATE TABLE denied_peers (
    peer      BLOB PRIMARY KEY,
    denied_at INTEGER NOT NULL
) WITHOUT ROWID;

-- The outbox: what happened, written in the transaction that made it happen. "owner" is null for what is nobody's own.
CREATE TABLE events (
    id         BLOB PRIMARY KEY,
    kind       TEXT NOT NULL,
    visibility TEXT NOT NULL,
    owner      BLOB,
    payload    TEXT NOT NULL,
    at         INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX events_by_time ON events (at);
