-- What triage found in a text and what a person said of it, CBOR both; only for messages with either. n: message.n
CREATE TABLE hint (n INTEGER PRIMARY KEY, found BLOB, mark BLOB);

-- The last message.n of the lane that triage has looked at.
ALTER TABLE lane ADD COLUMN judged INTEGER NOT NULL DEFAULT 0;

-- Tokens asked of a model that costs money, by day (unix seconds / 86400). Without this table nothing is bought.
CREATE TABLE spend (day INTEGER PRIMARY KEY, tokens INTEGER NOT NULL);
