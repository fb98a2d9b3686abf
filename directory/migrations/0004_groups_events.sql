-- Groups of accounts. A publication's visibility is 'public', 'private' or 'group:' and a group's name.
CREATE TABLE groups (
    name       TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE members (
    user     BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    of_group TEXT NOT NULL REFERENCES groups (name) ON DELETE CASCADE,
    PRIMARY KEY (user, of_group)
) WITHOUT ROWID;
CREATE INDEX members_by_group ON members (of_group);

CREATE INDEX publications_of_groups ON publications (visibility) WHERE visibility NOT IN ('public', 'private');

-- Keys that may not log in until an admin allows them again. They outlive their peers' rows, and their denials.
CREATE TABLE revoked_peers (
    peer       BLOB PRIMARY KEY,
    name       TEXT NOT NULL,
    revoked_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Why a session was ended by others, for the peer that still has its token.
CREATE TABLE ended_sessions (
    token_hash BLOB PRIMARY KEY,
    why        TEXT NOT NULL,
    at         INTEGER NOT NULL
) WITHOUT ROWID;

-- The outbox. Nobody could read it before, and its rows said less than they do now. "visibility" is that of the
-- publication now, and with "owner" says who may read the row; "what" is the JSON of rest::events::What.
DROP TABLE events;
CREATE TABLE events (
    id          BLOB PRIMARY KEY,
    kind        TEXT NOT NULL,
    visibility  TEXT NOT NULL,
    owner       BLOB,
    publication BLOB,
    what        TEXT NOT NULL,
    at          INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX events_by_time ON events (at);
CREATE INDEX events_by_publication ON events (publication) WHERE publication IS NOT NULL;
CREATE INDEX events_of_groups ON events (visibility) WHERE visibility NOT IN ('public', 'private');
