-- +goose Up

-- Times are microseconds since 1970 in UTC; 0 is "never". Documents are JSON.

CREATE TABLE contacts (
    workflow_id  TEXT PRIMARY KEY,
    contact_id   TEXT NOT NULL,
    campaign     TEXT NOT NULL,
    first_run_id TEXT NOT NULL,             -- the run that claimed the id; any other is a duplicate
    target       TEXT NOT NULL,
    opened_at    BIGINT NOT NULL,
    closed_at    BIGINT NOT NULL DEFAULT 0,
    outcome      TEXT NOT NULL DEFAULT '',
    escalated    INTEGER NOT NULL DEFAULT 0,
    reason       TEXT NOT NULL DEFAULT '',
    rule         TEXT NOT NULL DEFAULT '',
    wait         TEXT NOT NULL DEFAULT ''   -- what an open contact waits for
);
CREATE INDEX contacts_by_contact_id ON contacts (contact_id);

CREATE TABLE attempts (
    key         TEXT PRIMARY KEY,           -- <workflow id>/<first run id>/<n>
    workflow_id TEXT NOT NULL,
    n           INTEGER NOT NULL,
    target      TEXT NOT NULL,
    state       TEXT NOT NULL,
    disposition TEXT NOT NULL DEFAULT '',
    attempt     TEXT NOT NULL,              -- the folded attempt
    request     TEXT NOT NULL,              -- what the gateway was asked
    owner       TEXT NOT NULL,              -- the execution that may send it
    sends       INTEGER NOT NULL,
    resend      INTEGER NOT NULL DEFAULT 0, -- provably no call: it may be sent again
    send_by     BIGINT NOT NULL,
    rate_until  BIGINT NOT NULL,            -- counts against the account's rate until then
    line_until  BIGINT NOT NULL,            -- counts as a call under way until then: a lease that ends by itself
    mid_call    INTEGER NOT NULL DEFAULT 0,
    decision    TEXT NOT NULL DEFAULT ''    -- what was decided on its disposition
);
CREATE INDEX attempts_by_workflow ON attempts (workflow_id, n);
CREATE INDEX attempts_by_line ON attempts (line_until);
CREATE INDEX attempts_by_rate ON attempts (rate_until);
CREATE INDEX attempts_by_target ON attempts (target, line_until);

CREATE TABLE notifications (
    id          INTEGER PRIMARY KEY,
    attempt_key TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    raw         BLOB NOT NULL,
    note        TEXT NOT NULL DEFAULT ''    -- late, contradicting, or why it could not be read
);
CREATE INDEX notifications_by_attempt ON notifications (attempt_key);

CREATE TABLE decisions (
    id          INTEGER PRIMARY KEY,
    workflow_id TEXT NOT NULL,
    attempt_key TEXT NOT NULL,
    at          BIGINT NOT NULL,
    kind        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    rule        TEXT NOT NULL,
    until       BIGINT NOT NULL DEFAULT 0,
    evidence    TEXT NOT NULL DEFAULT ''
);
CREATE INDEX decisions_by_workflow ON decisions (workflow_id, id);

-- Who waits for a line, for pace or for a number, in the order in which they are woken.
CREATE TABLE queue (
    workflow_id TEXT PRIMARY KEY,
    target      TEXT NOT NULL,
    class       INTEGER NOT NULL,           -- 0 promised callback, 1 retry, 2 first dial
    weight      INTEGER NOT NULL DEFAULT 0,
    arrived_at  BIGINT NOT NULL,
    woken_until BIGINT NOT NULL DEFAULT 0,  -- capacity is kept for it until then
    missed      INTEGER NOT NULL DEFAULT 0  -- 1: it was woken and has not asked since
);
CREATE INDEX queue_in_order ON queue (class, weight DESC, arrived_at, workflow_id);
CREATE INDEX queue_by_wake ON queue (woken_until);
CREATE INDEX queue_by_target ON queue (target);
CREATE INDEX queue_by_arrival ON queue (arrived_at);

-- What is owed to others: signals and wakes to flows, webhooks to people's systems.
CREATE TABLE outbox (
    id           INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused: a late word on an old delivery must not settle a new one
    topic        TEXT NOT NULL UNIQUE,      -- <kind>/<subject>: owed once, whatever happens meanwhile
    kind         TEXT NOT NULL,
    workflow_id  TEXT NOT NULL,
    attempt_key  TEXT NOT NULL DEFAULT '',
    url          TEXT NOT NULL DEFAULT '',
    body         TEXT NOT NULL DEFAULT '',
    version      INTEGER NOT NULL DEFAULT 1,
    due_at       BIGINT NOT NULL,
    tries        INTEGER NOT NULL DEFAULT 0,
    delivered_at BIGINT NOT NULL DEFAULT 0,
    last_error   TEXT NOT NULL DEFAULT ''
);
CREATE INDEX outbox_due ON outbox (due_at) WHERE delivered_at = 0;

CREATE TABLE accounts (
    name            TEXT PRIMARY KEY,
    lines           INTEGER NOT NULL,
    rate            INTEGER NOT NULL,
    rate_window     BIGINT NOT NULL,
    paused_until    BIGINT NOT NULL DEFAULT 0,  -- no request leaves before
    paused_for      TEXT NOT NULL DEFAULT '',   -- throttled, or gateway_unreachable
    refusals        INTEGER NOT NULL DEFAULT 0  -- requests in a row that did not get through
);
INSERT INTO accounts (name, lines, rate, rate_window) VALUES ('default', 0, 0, 0); -- 0: no limit was set yet

CREATE TABLE suppressions (
    target TEXT PRIMARY KEY,
    at     BIGINT NOT NULL,
    reason TEXT NOT NULL,
    source TEXT NOT NULL
);

-- +goose Down
DROP TABLE suppressions;
DROP TABLE accounts;
DROP TABLE outbox;
DROP TABLE queue;
DROP TABLE decisions;
DROP TABLE notifications;
DROP TABLE attempts;
DROP TABLE contacts;
