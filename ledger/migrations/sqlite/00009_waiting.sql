-- +goose Up

-- The open contacts of a number: who is told when it must not be called any more.
CREATE INDEX contacts_open_by_target ON contacts (target) WHERE closed_at = 0;

-- +goose Down
DROP INDEX contacts_open_by_target;
