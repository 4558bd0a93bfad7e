-- What consoles search and count by: parts of the classification as columns, so that an index can hold all that a
-- query needs.
ALTER TABLE turns ADD COLUMN intent TEXT;
ALTER TABLE turns ADD COLUMN outcome TEXT NOT NULL DEFAULT '';
ALTER TABLE turns ADD COLUMN language TEXT;
ALTER TABLE turns ADD COLUMN catalogue TEXT;
ALTER TABLE turns ADD COLUMN hands_off INTEGER NOT NULL DEFAULT 0;
ALTER TABLE turns ADD COLUMN latency REAL NOT NULL DEFAULT 0; -- in milliseconds
ALTER TABLE turns ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
UPDATE turns SET
    intent = json_extract(classification, '$.intent'),
    outcome = COALESCE(json_extract(classification, '$.type'), ''),
    language = json_extract(classification, '$.language'),
    catalogue = json_extract(classification, '$.catalogue_version'),
    hands_off = COALESCE(json_extract(classification, '$.hand_off'), 0),
    latency = COALESCE(json_extract(classification, '$.latency_ms'), 0),
    failures = COALESCE(json_array_length(classification, '$.events'), 0);
CREATE INDEX turns_by_intent ON turns (intent, id);
CREATE INDEX turns_by_outcome ON turns (outcome, id);
CREATE INDEX turns_by_catalogue ON turns (catalogue, id);
CREATE INDEX turns_that_failed ON turns (created_at) WHERE failures > 0;
-- A period is counted from this index alone.
CREATE INDEX turns_in_numbers ON turns (created_at, outcome, hands_off, latency, intent);
