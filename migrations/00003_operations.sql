-- +goose Up

-- Whether a queue is consumed. It is here and not in the broker, so that it
-- outlives every process and reaches all instances. No row: it is, and was
-- never paused.
CREATE TABLE consumption (
    queue      text        PRIMARY KEY,
    paused     boolean     NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by text        NOT NULL,
    reason     text        NOT NULL
);

-- What the running instances say of themselves every few seconds. Two reports
-- are kept, because the difference of their counters over the time between them
-- is a rate, whoever asks and from wherever. All times are the database's.
CREATE TABLE instances (
    id         uuid        PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    earlier_at timestamptz,
    report     json        NOT NULL,
    earlier    json
) WITH (fillfactor = 50);

COMMENT ON COLUMN instances.report IS 'json, so that instances of different builds understand each other during a rollout';

-- +goose Down
DROP TABLE instances;
DROP TABLE consumption;
