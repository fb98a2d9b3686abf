-- What is about to be published is what its content is and what the publisher wrote down of it; a row comes with its content.
ALTER TABLE publishing RENAME COLUMN request TO note;

-- What a live transfer brings is not given up for its age.
ALTER TABLE transfers ADD COLUMN content BLOB CHECK (length(content) = 32);
