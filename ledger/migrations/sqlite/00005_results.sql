-- +goose Up

-- What bots say that their conversations came to. The first result of an attempt stands; it has no note.
CREATE TABLE results (
    id          INTEGER PRIMARY KEY,
    attempt_key TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    raw         BLOB NOT NULL,
    result      TEXT NOT NULL DEFAULT '',   -- what was understood; empty: it could not be read
    note        TEXT NOT NULL DEFAULT ''    -- a second one, of no attempt that is known, or why it could not be read
);
CREATE INDEX results_by_attempt ON results (attempt_key);
CREATE UNIQUE INDEX results_that_stand ON results (attempt_key) WHERE note = '';

-- +goose Down
DROP TABLE results;
