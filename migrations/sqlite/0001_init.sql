-- Names are shared with migrations/postgres. Times are milliseconds since 1970, UTC.
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at INTEGER NOT NULL
) STRICT;

-- How a user proves who they are: provider 'password' (subject: the e-mail, lower-case; secret: a PHC string) or
-- 'channel' (subject: the sender's id).
CREATE TABLE identities (
    provider TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    secret TEXT,
    PRIMARY KEY (provider, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX identities_by_user ON identities (user_id);

-- The SHA-256 of each refresh token. A spent one that comes again revokes its family.
CREATE TABLE refresh_tokens (
    hash BLOB PRIMARY KEY,
    family TEXT NOT NULL,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    spent_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

CREATE TABLE dialogs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    is_default INTEGER NOT NULL CHECK (is_default IN (0, 1)),
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX dialogs_by_user ON dialogs (user_id);
CREATE UNIQUE INDEX one_default_dialog ON dialogs (user_id) WHERE is_default = 1;

-- One message with its reply, its classification and the dialogue state after it.
CREATE TABLE turns (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    dialog_id INTEGER NOT NULL REFERENCES dialogs (id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    text TEXT NOT NULL,
    response TEXT NOT NULL,
    classification TEXT NOT NULL,
    outputs TEXT NOT NULL,
    state TEXT NOT NULL,
    idempotency_key TEXT,
    request_hash BLOB,
    UNIQUE (dialog_id, seq)
) STRICT;
CREATE INDEX turns_by_user ON turns (user_id, position);
CREATE UNIQUE INDEX turns_by_idempotency_key ON turns (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- What handlers keep for a user.
CREATE TABLE kept_values (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (user_id, key)
) STRICT, WITHOUT ROWID;

-- The bot is user 1.
INSERT INTO users (id, created_at) VALUES (1, 0);
