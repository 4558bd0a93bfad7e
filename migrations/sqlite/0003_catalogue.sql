-- Versions of the bot: contents by hash, lists of files, and which version is in use.
CREATE TABLE blobs (
    hash TEXT PRIMARY KEY, -- BLAKE3; the row comes last, when all pieces are there
    pieces INTEGER NOT NULL
) STRICT;
CREATE TABLE blob_pieces (
    hash TEXT NOT NULL,
    piece INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (hash, piece)
) STRICT;

-- A version passed the gate before it was stored.
CREATE TABLE versions (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, -- the hash of the manifest
    catalogue TEXT NOT NULL,
    parent TEXT,
    author TEXT NOT NULL,
    message TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    manifest TEXT NOT NULL
) STRICT;

-- What was fitted to a version's examples, for one embedding model.
CREATE TABLE classifiers (
    version TEXT NOT NULL REFERENCES versions (id) ON DELETE CASCADE,
    model TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (version, model)
) STRICT;

-- The row with the greatest generation is in force; a new one has the next number, so of two at once one fails.
CREATE TABLE activations (
    generation INTEGER PRIMARY KEY,
    version TEXT NOT NULL REFERENCES versions (id),
    canary TEXT REFERENCES versions (id),
    percent INTEGER,
    at INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;

-- What each server tells of itself.
CREATE TABLE servers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    version TEXT NOT NULL,
    canary TEXT,
    problem TEXT,
    counts TEXT NOT NULL
) STRICT;

ALTER TABLE users ADD COLUMN is_admin INTEGER NOT NULL DEFAULT 0 CHECK (is_admin IN (0, 1));
