-- Export, import and deletion of one user's data, and the log of who did what.
ALTER TABLE users ADD COLUMN deleting_since INTEGER;
ALTER TABLE users ADD COLUMN source TEXT; -- the export that the user came of
CREATE UNIQUE INDEX users_by_source ON users (source) WHERE source IS NOT NULL;
ALTER TABLE dialogs ADD COLUMN source_id INTEGER; -- the dialogue's id where it was exported
CREATE UNIQUE INDEX dialogs_by_source ON dialogs (user_id, source_id) WHERE source_id IS NOT NULL;
CREATE INDEX users_being_deleted ON users (id) WHERE deleting_since IS NOT NULL;
CREATE INDEX refresh_tokens_by_user ON refresh_tokens (user_id);

-- No foreign keys: a line outlives those whom it speaks of.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor INTEGER,
    action TEXT NOT NULL,
    subject INTEGER,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_subject ON audit (subject);
