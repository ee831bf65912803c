-- +goose Up

-- What calling rules count, as migrations/sqlite explains.
ALTER TABLE attempts ADD COLUMN dialed_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN ended_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN subject TEXT NOT NULL DEFAULT '';
ALTER TABLE results ADD COLUMN kind TEXT NOT NULL DEFAULT '';
UPDATE attempts SET dialed_at = send_by - 5000000, subject = workflow_id, ended_at = CASE WHEN state = 'ended' THEN line_until ELSE 0 END;
ALTER TABLE queue ADD COLUMN not_before BIGINT NOT NULL DEFAULT 0;
CREATE INDEX queue_by_time ON queue (not_before);
CREATE INDEX attempts_by_dial ON attempts (target, dialed_at);
CREATE INDEX attempts_by_subject ON attempts (subject, dialed_at);

-- +goose Down
DROP INDEX attempts_by_subject;
DROP INDEX attempts_by_dial;
DROP INDEX queue_by_time;
ALTER TABLE queue DROP COLUMN not_before;
ALTER TABLE results DROP COLUMN kind;
ALTER TABLE attempts DROP COLUMN subject;
ALTER TABLE attempts DROP COLUMN ended_at;
ALTER TABLE attempts DROP COLUMN dialed_at;
