-- The last event of each reason to see one is looked up, at every ping: not searched for among those that are hidden.
DROP INDEX events_of_groups;
CREATE INDEX events_by_visibility ON events (visibility, id);
CREATE INDEX events_by_owner ON events (owner, id) WHERE owner IS NOT NULL;
