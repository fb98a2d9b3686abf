-- Whose copies may be placed on a peer, as its pings say.
ALTER TABLE peers ADD COLUMN accept_copies TEXT NOT NULL DEFAULT 'own';

-- Who says that a holder gave what is not the content. "resent" says that the holder sent its whole index anew since, and
-- that its next word on this publication repeats what it said before the report.
CREATE TABLE holder_reports (
    publication BLOB NOT NULL REFERENCES publications (id) ON DELETE CASCADE,
    holder      BLOB NOT NULL REFERENCES peers (id) ON DELETE CASCADE,
    reporter    BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    fault       TEXT NOT NULL,
    resent      INTEGER NOT NULL DEFAULT 0,
    at          INTEGER NOT NULL,
    PRIMARY KEY (publication, holder, reporter)
) WITHOUT ROWID;
CREATE INDEX reports_by_holder ON holder_reports (holder);
CREATE INDEX reports_by_reporter ON holder_reports (reporter, at);
CREATE INDEX reports_by_time ON holder_reports (at);
