-- A dialogue that is being deleted is no longer found; its row goes last.
ALTER TABLE dialogs ADD COLUMN deleting_since BIGINT;
CREATE INDEX dialogs_being_deleted ON dialogs (id) WHERE deleting_since IS NOT NULL;
