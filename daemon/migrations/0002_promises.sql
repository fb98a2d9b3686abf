-- What survives a restart besides whole contents: what has come of those that are still on their way, what was found
-- damaged, which transfers there are and why they stand where they stand, and where holders were seen.

-- A content of which a part is durable under partial/, with its layer where its size has one. `groups` has a bit per
-- group of 256 KiB, the lowest of a byte first; only what was fsynced before is in it. Times are milliseconds since 1970.
CREATE TABLE partials (
    hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    size INTEGER NOT NULL CHECK (size >= 0),
    groups BLOB NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- An import that was cut: the same source, unchanged, goes on at `done`.
CREATE TABLE imports (
    -- The file in partial/.
    file TEXT NOT NULL PRIMARY KEY,
    -- Device, inode, size, times of modification and change of the source.
    stamp TEXT NOT NULL UNIQUE,
    -- Bytes of the copy that are durable and hashed: whole groups.
    done INTEGER NOT NULL CHECK (done >= 0),
    -- Set when all is hashed: the file may be under content/ already.
    hash BLOB CHECK (length(hash) = 32),
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A content that was whole and is not: it stays in contents, so that its holds have what they refer to, and is not
-- served. Its good groups are in partials, its holds are 'partial' until it is healed.
CREATE TABLE damaged (
    hash BLOB NOT NULL PRIMARY KEY REFERENCES contents (hash) ON DELETE CASCADE,
    reason TEXT NOT NULL,
    found_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- When each content was last read back whole and found good; the scrub takes the oldest first.
CREATE TABLE verified (
    hash BLOB NOT NULL PRIMARY KEY REFERENCES contents (hash) ON DELETE CASCADE,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Transfers, as `transfer/journal.rs` writes them.
CREATE TABLE transfers (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- It has not ended: it goes on after a restart.
    live INTEGER NOT NULL CHECK (live IN (0, 1)),
    record TEXT NOT NULL
) STRICT;

-- What the directory last said of a publication and its holders, for when it is away.
CREATE TABLE locations (
    publication BLOB NOT NULL PRIMARY KEY CHECK (length(publication) = 16),
    answer TEXT NOT NULL,
    told_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX locations_by_age ON locations (told_at);

-- Contents that the directory was, or is about to be, asked to publish: after a crash it is asked again under the same id.
CREATE TABLE publishing (
    publication BLOB NOT NULL PRIMARY KEY CHECK (length(publication) = 16),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    request TEXT NOT NULL
) STRICT, WITHOUT ROWID;
