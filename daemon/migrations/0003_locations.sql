-- Each answer of the directory is for the account that asked. Of those before it is not known for whom they were: they
-- are dropped, and the directory is asked again.
DROP TABLE locations;
CREATE TABLE locations (
    cluster BLOB NOT NULL CHECK (length(cluster) = 16),
    account BLOB NOT NULL CHECK (length(account) = 16),
    publication BLOB NOT NULL CHECK (length(publication) = 16),
    answer TEXT NOT NULL,
    told_at TEXT NOT NULL,
    PRIMARY KEY (cluster, account, publication)
) STRICT, WITHOUT ROWID;
CREATE INDEX locations_by_age ON locations (told_at);
