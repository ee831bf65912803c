-- +goose Up

-- Which ledgers were moved here.
CREATE TABLE moves (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE moves;
