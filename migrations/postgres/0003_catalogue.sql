-- Versions of the bot: contents by hash, lists of files, and which version is in use.
CREATE TABLE blobs (
    hash TEXT PRIMARY KEY, -- BLAKE3; the row comes last, when all pieces are there
    pieces BIGINT NOT NULL
);
CREATE TABLE blob_pieces (
    hash TEXT NOT NULL,
    piece BIGINT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (hash, piece)
);

-- A version passed the gate before it was stored.
CREATE TABLE versions (
    position BIGSERIAL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE, -- the hash of the manifest
    catalogue TEXT NOT NULL,
    parent TEXT,
    author TEXT NOT NULL,
    message TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    manifest TEXT NOT NULL
);

-- What was fitted to a version's examples, for one embedding model.
CREATE TABLE classifiers (
    version TEXT NOT NULL REFERENCES versions (id) ON DELETE CASCADE,
    model TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (version, model)
);

-- The row with the greatest generation is in force; a new one has the next number, so of two at once one fails.
CREATE TABLE activations (
    generation BIGINT PRIMARY KEY,
    version TEXT NOT NULL REFERENCES versions (id),
    canary TEXT REFERENCES versions (id),
    percent BIGINT,
    at BIGINT NOT NULL,
    made_by TEXT NOT NULL,
    reason TEXT NOT NULL
);

-- What each server tells of itself.
CREATE TABLE servers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    version TEXT NOT NULL,
    canary TEXT,
    problem TEXT,
    counts TEXT NOT NULL
);

ALTER TABLE users ADD COLUMN is_admin BOOLEAN NOT NULL DEFAULT FALSE;
