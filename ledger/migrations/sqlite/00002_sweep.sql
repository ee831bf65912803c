-- +goose Up

-- When the sweeper last compared an open contact with its run: the one looked at longest ago comes next.
ALTER TABLE contacts ADD COLUMN swept_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX contacts_to_sweep ON contacts (swept_at) WHERE closed_at = 0;

-- Attempts that nobody has closed yet; and those in doubt, for the operator's list.
CREATE INDEX attempts_under_way ON attempts (line_until) WHERE disposition = '';
CREATE INDEX attempts_dialing ON attempts (send_by) WHERE state = 'dialing';
CREATE INDEX attempts_in_doubt ON attempts (send_by) WHERE state = 'unknown';

-- +goose Down
DROP INDEX attempts_in_doubt;
DROP INDEX attempts_dialing;
DROP INDEX attempts_under_way;
DROP INDEX contacts_to_sweep;
ALTER TABLE contacts DROP COLUMN swept_at;
