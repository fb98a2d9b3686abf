-- Its peer was told that it may drop this copy: it no longer keeps another holder's from being the last one.
ALTER TABLE holds ADD COLUMN released INTEGER NOT NULL DEFAULT 0;
