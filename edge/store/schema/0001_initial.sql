-- Authors and destinations: a 32-byte key is written once, rows carry its small number.
CREATE TABLE party (n INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE);

-- One row a message. n is lane * 2^48 + the order of arrival, so that each lane has pages of its own: what is dropped,
-- the oldest of a lane, then frees whole pages. n is never used twice while the search index knows it.
-- seq is the author's number; a second, different message with the same number is kept at seq + 2^32.
-- receipted: 1 once the destination's signed receipt for it has been committed.
CREATE TABLE message (
    n INTEGER PRIMARY KEY,
    author INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    hlc INTEGER NOT NULL,
    id BLOB NOT NULL,
    type INTEGER NOT NULL,
    dest INTEGER,
    expires_s INTEGER NOT NULL,
    receipted INTEGER,
    data BLOB NOT NULL
);
CREATE UNIQUE INDEX message_author ON message (author, seq);
CREATE INDEX message_place ON message (lane, hlc, id, type);
CREATE INDEX message_expires ON message (expires_s);
CREATE INDEX message_dest ON message (dest, hlc) WHERE dest IS NOT NULL;
CREATE INDEX message_direct ON message (id) WHERE dest IS NOT NULL;

-- Two different messages with one (author, seq), as signed: the proof outlives both.
CREATE TABLE proof (
    author INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    first BLOB NOT NULL,
    second BLOB NOT NULL,
    PRIMARY KEY (author, seq)
) WITHOUT ROWID;

-- What a lane holds, and what was taken from it. floor_hlc: older messages were evicted and are not taken back.
-- indexed: the last message.n that the search index has seen.
CREATE TABLE lane (
    lane INTEGER PRIMARY KEY,
    messages INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    floor_hlc INTEGER NOT NULL DEFAULT 0,
    expired INTEGER NOT NULL DEFAULT 0,
    evicted INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    indexed INTEGER NOT NULL DEFAULT 0
);
INSERT INTO lane (lane) VALUES (0), (1), (2), (3);

-- Small integers that outlive a reboot.
CREATE TABLE kept (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

-- Words of the texts that this node can read. Without the texts themselves: they stand in message.data.
CREATE VIRTUAL TABLE search USING fts5 (
    text, content = '', columnsize = 0, tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'"
);
