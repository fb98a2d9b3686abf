-- What somebody wants kept here: such a hold is let go only by force, and never by the daemon itself.
ALTER TABLE holds ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1));
