-- +goose Up

-- How far the open contacts are woken whom an import of suppressions concerns. Those of imports before this version learn of it at their
-- next dial.
ALTER TABLE suppression_imports ADD COLUMN told_to BIGINT NOT NULL DEFAULT 0; -- the id of the last entry whose contacts were
ALTER TABLE suppression_imports ADD COLUMN told_at BIGINT NOT NULL DEFAULT 0; -- when all of them were; 0: not yet
UPDATE suppression_imports SET told_at = completed_at;
CREATE INDEX suppression_imports_to_tell ON suppression_imports (completed_at) WHERE completed_at > 0 AND told_at = 0;

-- When a sink of the deployment's own has taken an escalation of the inbox: one without a url. 0: none has.
ALTER TABLE outbox ADD COLUMN sink_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX outbox_for_sink ON outbox (due_at) WHERE kind = 'webhook' AND url = '' AND sink_at = 0 AND acked_at = 0;

-- +goose Down
DROP INDEX outbox_for_sink;
ALTER TABLE outbox DROP COLUMN sink_at;
DROP INDEX suppression_imports_to_tell;
ALTER TABLE suppression_imports DROP COLUMN told_at;
ALTER TABLE suppression_imports DROP COLUMN told_to;
