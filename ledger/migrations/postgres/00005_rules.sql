-- +goose Up

-- What calling rules count, as migrations/sqlite explains.
ALTER TABLE attempts ADD COLUMN dialed_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN ended_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN contact_id TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN subject TEXT NOT NULL DEFAULT '';
ALTER TABLE results ADD COLUMN kind TEXT NOT NULL DEFAULT '';
UPDATE attempts SET dialed_at = send_by - 5000000, ended_at = CASE WHEN state = 'ended' THEN line_until ELSE 0 END,
    contact_id = COALESCE((SELECT c.contact_id FROM contacts c WHERE c.workflow_id = attempts.workflow_id), '');
UPDATE attempts SET subject = 'contact:' || contact_id;
-- What a bot has said may hold texts that PostgreSQL does not take as JSON.
UPDATE results SET kind = COALESCE(substring(result FROM '"result":"([a-z_]+)"'), '') WHERE result <> '';
ALTER TABLE queue ADD COLUMN not_before BIGINT NOT NULL DEFAULT 0;
CREATE INDEX queue_by_time ON queue (not_before);
CREATE INDEX attempts_by_dial ON attempts (target, dialed_at);
CREATE INDEX attempts_by_contact ON attempts (contact_id, dialed_at);
CREATE INDEX attempts_by_subject ON attempts (subject, dialed_at);

-- The version before this one, which may still be at work, knows none of these columns.
-- +goose StatementBegin
CREATE FUNCTION attempts_by_the_version_before() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.dialed_at = 0 OR TG_OP = 'UPDATE' AND NEW.send_by <> OLD.send_by AND NEW.dialed_at = OLD.dialed_at THEN
        NEW.dialed_at := NEW.send_by - 5000000;
    END IF;
    IF NEW.state = 'ended' AND NEW.ended_at = 0 THEN
        NEW.ended_at := NEW.line_until;
    END IF;
    IF NEW.contact_id = '' THEN
        NEW.contact_id := COALESCE((SELECT c.contact_id FROM contacts c WHERE c.workflow_id = NEW.workflow_id), '');
    END IF;
    IF NEW.subject = '' THEN
        NEW.subject := 'contact:' || NEW.contact_id;
    END IF;
    RETURN NEW;
END
$$;
CREATE FUNCTION results_by_the_version_before() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    NEW.kind := COALESCE(substring(NEW.result FROM '"result":"([a-z_]+)"'), '');
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER attempts_by_the_version_before BEFORE INSERT OR UPDATE ON attempts
    FOR EACH ROW EXECUTE FUNCTION attempts_by_the_version_before();
CREATE TRIGGER results_by_the_version_before BEFORE INSERT ON results
    FOR EACH ROW WHEN (NEW.kind = '' AND NEW.result <> '') EXECUTE FUNCTION results_by_the_version_before();

-- +goose Down
DROP TRIGGER results_by_the_version_before ON results;
DROP TRIGGER attempts_by_the_version_before ON attempts;
DROP FUNCTION results_by_the_version_before, attempts_by_the_version_before;
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
