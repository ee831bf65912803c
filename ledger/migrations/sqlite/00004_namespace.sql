-- +goose Up

-- The namespace of Temporal that this ledger's flows live in; empty: nobody has said so yet.
ALTER TABLE accounts ADD COLUMN namespace TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN namespace_id TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE accounts DROP COLUMN namespace_id;
ALTER TABLE accounts DROP COLUMN namespace;
