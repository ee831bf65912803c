-- +goose Up

-- Why numbers and contacts must not be called: one row for each time that somebody or something said so. It holds until it expires or
-- is removed; rows are never deleted.
CREATE TABLE suppression_entries (
    id          INTEGER PRIMARY KEY,
    kind        TEXT NOT NULL,              -- number, or contact
    subject     TEXT NOT NULL,              -- the canonical URI of a target, or a contact id, in all campaigns
    at          BIGINT NOT NULL,
    source      TEXT NOT NULL,              -- who or what said so
    reason      TEXT NOT NULL,
    expires_at  BIGINT NOT NULL DEFAULT 0,
    removed_at  BIGINT NOT NULL DEFAULT 0,
    removed_by  TEXT NOT NULL DEFAULT '',
    removed_for TEXT NOT NULL DEFAULT '',
    import_id   BIGINT NOT NULL DEFAULT 0   -- with whose completion it begins to hold; 0: it holds from the beginning
);
CREATE INDEX suppression_entries_by_subject ON suppression_entries (subject, kind);

-- Files that are loaded in many small transactions, and hold as a whole.
CREATE TABLE suppression_imports (
    import_id    BIGINT PRIMARY KEY,
    begun_at     BIGINT NOT NULL,
    completed_at BIGINT NOT NULL DEFAULT 0
);

INSERT INTO suppression_entries (kind, subject, at, source, reason) SELECT 'number', target, at, source, reason FROM suppressions;

-- Nothing but the version before this one, which may still be at work, writes to the table suppressions.
-- +goose StatementBegin
CREATE TRIGGER suppressions_by_the_version_before AFTER INSERT ON suppressions BEGIN
    INSERT INTO suppression_entries (kind, subject, at, source, reason) VALUES ('number', NEW.target, NEW.at, NEW.source, NEW.reason);
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER suppressions_by_the_version_before;
DROP TABLE suppression_imports;
DROP TABLE suppression_entries;
