-- What is about to be published is what its content is and what the publisher wrote down of it; a row comes with its content.
ALTER TABLE publishing RENAME COLUMN request TO note;
