-- People with radios (Meshtastic): what their radios call themselves, where they were heard last, whether they have ever
-- spoken to this node. radio: its 4 bytes. hops: NULL unknown.
CREATE TABLE person (
    radio BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    short TEXT NOT NULL,
    link TEXT NOT NULL,
    hops INTEGER,
    heard_s INTEGER NOT NULL,
    spoke INTEGER NOT NULL
) WITHOUT ROWID;
