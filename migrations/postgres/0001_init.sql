-- Names are shared with migrations/sqlite. Times are milliseconds since 1970, UTC. Turns are in MongoDB.
CREATE TABLE users (
    id BIGSERIAL PRIMARY KEY,
    created_at BIGINT NOT NULL
);

-- How a user proves who they are: provider 'password' (subject: the e-mail, lower-case; secret: a PHC string) or
-- 'channel' (subject: the sender's id).
CREATE TABLE identities (
    provider TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    secret TEXT,
    PRIMARY KEY (provider, subject)
);
CREATE INDEX identities_by_user ON identities (user_id);

-- The SHA-256 of each refresh token. A spent one that comes again revokes its family.
CREATE TABLE refresh_tokens (
    hash BYTEA PRIMARY KEY,
    family TEXT NOT NULL,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at BIGINT NOT NULL,
    spent_at BIGINT
);
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_by_user ON refresh_tokens (user_id);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

CREATE TABLE dialogs (
    id BIGSERIAL PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    is_default BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX dialogs_by_user ON dialogs (user_id);
CREATE UNIQUE INDEX one_default_dialog ON dialogs (user_id) WHERE is_default;

-- Access tokens that were made while Redis was away.
CREATE TABLE sessions (
    token TEXT PRIMARY KEY,
    family TEXT NOT NULL,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX sessions_by_family ON sessions (family);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- The bot is user 1.
INSERT INTO users (id, created_at) VALUES (1, 0);
SELECT setval('users_id_seq', 1);
