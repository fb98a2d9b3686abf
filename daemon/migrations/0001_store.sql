-- What the peer's store knows: the contents on its disk, which publications it holds, and the log from which the
-- directory learns of changes.

-- A content is here only when its bytes and its layer are durable under content/ and layer/.
CREATE TABLE contents (
    hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    size INTEGER NOT NULL CHECK (size >= 0)
) STRICT, WITHOUT ROWID;

-- A hold: this peer serves the content under that publication. The labels are kept so that `list` needs no directory.
CREATE TABLE holds (
    publication BLOB NOT NULL PRIMARY KEY CHECK (length(publication) = 16),
    hash BLOB NOT NULL REFERENCES contents (hash),
    state TEXT NOT NULL CHECK (state IN ('partial', 'complete')),
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 0),
    visibility TEXT NOT NULL,
    published_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_by_hash ON holds (hash);

-- The index as it is now: one row.
CREATE TABLE index_head (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    index_id BLOB NOT NULL CHECK (length(index_id) = 16),
    seq INTEGER NOT NULL CHECK (seq >= 0),
    digest TEXT NOT NULL
) STRICT;

-- How it came to be so: one row per change, its state null when the hold was dropped. The digest is the one after it.
CREATE TABLE index_log (
    seq INTEGER NOT NULL PRIMARY KEY,
    publication BLOB NOT NULL CHECK (length(publication) = 16),
    state TEXT CHECK (state IN ('partial', 'complete')),
    digest TEXT NOT NULL
) STRICT;
