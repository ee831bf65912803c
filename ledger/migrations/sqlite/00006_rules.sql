-- +goose Up

-- What calling rules count: calls by number, by contact and by subject, and what happened in them.
ALTER TABLE attempts ADD COLUMN dialed_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN ended_at BIGINT NOT NULL DEFAULT 0;   -- 0: its end was not heard
ALTER TABLE attempts ADD COLUMN contact_id TEXT NOT NULL DEFAULT '';  -- one contact may have several runs, in several campaigns
ALTER TABLE attempts ADD COLUMN subject TEXT NOT NULL DEFAULT '';     -- subject: and what was stated, or else contact: and the contact id
ALTER TABLE results ADD COLUMN kind TEXT NOT NULL DEFAULT '';         -- of a result that was understood
UPDATE attempts SET dialed_at = send_by - 5000000, ended_at = CASE WHEN state = 'ended' THEN line_until ELSE 0 END,
    contact_id = COALESCE((SELECT c.contact_id FROM contacts c WHERE c.workflow_id = attempts.workflow_id), '');
UPDATE attempts SET subject = 'contact:' || contact_id;
UPDATE results SET kind = COALESCE(json_extract(result, '$.result'), '') WHERE result <> '';
ALTER TABLE queue ADD COLUMN not_before BIGINT NOT NULL DEFAULT 0;    -- nobody is woken before; 0: at any time
CREATE INDEX queue_by_time ON queue (not_before);
CREATE INDEX attempts_by_dial ON attempts (target, dialed_at);
CREATE INDEX attempts_by_contact ON attempts (contact_id, dialed_at);
CREATE INDEX attempts_by_subject ON attempts (subject, dialed_at);

-- +goose Down
DROP INDEX attempts_by_subject;
DROP INDEX attempts_by_contact;
DROP INDEX attempts_by_dial;
DROP INDEX queue_by_time;
ALTER TABLE queue DROP COLUMN not_before;
ALTER TABLE results DROP COLUMN kind;
ALTER TABLE attempts DROP COLUMN subject;
ALTER TABLE attempts DROP COLUMN contact_id;
ALTER TABLE attempts DROP COLUMN ended_at;
ALTER TABLE attempts DROP COLUMN dialed_at;
