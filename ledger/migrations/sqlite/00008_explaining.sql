-- +goose Up

-- Who has seen to an escalation; and the orders in which contacts are listed, and contacts and attempts are exported.
ALTER TABLE outbox ADD COLUMN acked_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN acked_by TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN acked_note TEXT NOT NULL DEFAULT '';
CREATE INDEX contacts_by_opening ON contacts (opened_at, workflow_id);
CREATE INDEX attempts_by_time ON attempts (dialed_at, key);

-- +goose Down
DROP INDEX attempts_by_time;
DROP INDEX contacts_by_opening;
ALTER TABLE outbox DROP COLUMN acked_note;
ALTER TABLE outbox DROP COLUMN acked_by;
ALTER TABLE outbox DROP COLUMN acked_at;
