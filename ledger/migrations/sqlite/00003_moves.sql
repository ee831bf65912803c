-- +goose Up

-- That this ledger is being moved to another database, or has been: it is not to be used here any more.
CREATE TABLE moves (
    id       TEXT PRIMARY KEY,
    target   TEXT NOT NULL,
    begun_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL DEFAULT 0
);

-- +goose Down
DROP TABLE moves;
