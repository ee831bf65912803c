-- +goose Up

-- Who is told of an import of suppressions, and of an escalation in the inbox, as migrations/sqlite explains.
ALTER TABLE suppression_imports ADD COLUMN told_to BIGINT NOT NULL DEFAULT 0;
ALTER TABLE suppression_imports ADD COLUMN told_at BIGINT NOT NULL DEFAULT 0;

-- What is told of an import is not told to the version before anew each time.
DROP TRIGGER suppressions_for_the_version_before ON suppression_imports;
CREATE TRIGGER suppressions_for_the_version_before AFTER UPDATE ON suppression_imports
    FOR EACH ROW WHEN (NEW.completed_at > 0 AND OLD.completed_at = 0) EXECUTE FUNCTION suppressions_for_the_version_before();

UPDATE suppression_imports SET told_at = completed_at;
CREATE INDEX suppression_imports_to_tell ON suppression_imports (completed_at) WHERE completed_at > 0 AND told_at = 0;

ALTER TABLE outbox ADD COLUMN sink_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX outbox_for_sink ON outbox (due_at) WHERE kind = 'webhook' AND url = '' AND sink_at = 0 AND acked_at = 0;

-- +goose Down
DROP INDEX outbox_for_sink;
ALTER TABLE outbox DROP COLUMN sink_at;
DROP INDEX suppression_imports_to_tell;
DROP TRIGGER suppressions_for_the_version_before ON suppression_imports;
CREATE TRIGGER suppressions_for_the_version_before AFTER UPDATE ON suppression_imports
    FOR EACH ROW WHEN (NEW.completed_at > 0) EXECUTE FUNCTION suppressions_for_the_version_before();
ALTER TABLE suppression_imports DROP COLUMN told_at;
ALTER TABLE suppression_imports DROP COLUMN told_to;
