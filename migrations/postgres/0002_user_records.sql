-- Export, import and deletion of one user's data, and the log of who did what.
ALTER TABLE users ADD COLUMN deleting_since BIGINT;
ALTER TABLE users ADD COLUMN source TEXT UNIQUE; -- the export that the user came of
ALTER TABLE dialogs ADD COLUMN source_id BIGINT; -- the dialogue's id where it was exported
CREATE UNIQUE INDEX dialogs_by_source ON dialogs (user_id, source_id) WHERE source_id IS NOT NULL;
CREATE INDEX users_being_deleted ON users (id) WHERE deleting_since IS NOT NULL;

-- No foreign keys: a line outlives those whom it speaks of.
CREATE TABLE audit (
    id BIGSERIAL PRIMARY KEY,
    at BIGINT NOT NULL,
    actor BIGINT,
    action TEXT NOT NULL,
    subject BIGINT,
    detail TEXT NOT NULL
);
CREATE INDEX audit_by_subject ON audit (subject);
