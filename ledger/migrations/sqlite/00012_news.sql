-- +goose Up

-- Whom news of a call is on its way to: such a contact is not woken for another one before it has heard it.
CREATE INDEX outbox_news ON outbox (workflow_id) WHERE kind = 'attempt' AND delivered_at = 0;

-- +goose Down
DROP INDEX outbox_news;
