-- A turn that hands its dialogue off waits for an answer from outside until this time, in milliseconds; empty when the
-- dialogue is answered or given back.
ALTER TABLE turns ADD COLUMN waits_until INTEGER;
-- Until this time, one worker has the turn.
ALTER TABLE turns ADD COLUMN leased_until INTEGER;
-- Whether the turn ended a hand-off.
ALTER TABLE turns ADD COLUMN ends_hand_off INTEGER NOT NULL DEFAULT 0;
CREATE INDEX turns_that_wait ON turns (dialog_id, seq) WHERE waits_until IS NOT NULL;
