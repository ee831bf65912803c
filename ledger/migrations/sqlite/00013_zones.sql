-- +goose Up

-- The time zone that was stated for a contact's target; empty: none was, or a version before this one has opened the contact.
ALTER TABLE contacts ADD COLUMN zone TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE contacts DROP COLUMN zone;
