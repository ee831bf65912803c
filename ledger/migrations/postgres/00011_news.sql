-- +goose Up

-- Whom news of a call is on its way to, as migrations/sqlite explains.
CREATE INDEX outbox_news ON outbox (workflow_id) WHERE kind = 'attempt' AND delivered_at = 0;

-- +goose Down
DROP INDEX outbox_news;
