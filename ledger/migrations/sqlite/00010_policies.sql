-- +goose Up

-- Policies that are kept under a name, version by version: runs that follow a name go by its newest version.
CREATE TABLE policies (
    name     TEXT    NOT NULL,
    version  INTEGER NOT NULL, -- counted from 1
    hash     TEXT    NOT NULL,
    document TEXT    NOT NULL, -- JSON
    put_at   BIGINT  NOT NULL, -- microseconds
    put_by   TEXT    NOT NULL,
    put_for  TEXT    NOT NULL,
    every    BIGINT  NOT NULL,            -- microseconds between those who are woken
    told_to  TEXT    NOT NULL DEFAULT '', -- the workflow id of the last of them so far
    tell_at  BIGINT  NOT NULL DEFAULT 0,  -- when the next of them are to be woken; 0: all were
    PRIMARY KEY (name, version)
);
ALTER TABLE contacts ADD COLUMN follows TEXT NOT NULL DEFAULT ''; -- the name of a policy; empty: the run has its own

-- Who is woken when a policy has a new version.
CREATE INDEX contacts_open_by_policy ON contacts (follows, workflow_id) WHERE closed_at = 0 AND follows <> '';

-- +goose Down
DROP INDEX contacts_open_by_policy;
ALTER TABLE contacts DROP COLUMN follows;
DROP TABLE policies;
