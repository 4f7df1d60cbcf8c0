-- +goose Up

-- A row holds the events that were committed together, as many as fit into a
-- page: written, read and deleted one by one they were a quarter of what Postgres
-- does for a message. Each event is a line of five fields behind tabs: its id,
-- its chat or 0, whom it is for, its name and its payload. A row with a payload that
-- needs more than a page has that event alone. The columns of a single event stay:
-- rows of the release before have them, and may wait here or still be written.
ALTER TABLE outbox
    ADD COLUMN size integer NOT NULL DEFAULT 1,
    ADD COLUMN events text,
    ALTER COLUMN event_id DROP NOT NULL,
    ALTER COLUMN user_id DROP NOT NULL,
    ALTER COLUMN name DROP NOT NULL,
    ALTER COLUMN payload DROP NOT NULL,
    ADD CONSTRAINT outbox_shape CHECK
        (events IS NOT NULL OR num_nulls(event_id, user_id, name, payload) = 0);
ALTER TABLE outbox ALTER COLUMN events SET STORAGE EXTERNAL;
ALTER TABLE outbox SET (
    toast_tuple_target = 8160,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_threshold = 5000
);

COMMENT ON COLUMN outbox.size IS 'how many events there are in the row';

-- +goose Down

-- Events that wait become rows of their own, behind each other as they were.
WITH waiting AS (
    DELETE FROM outbox RETURNING id, event_id, chat_id, user_id, created_at, name, payload, events
), unpacked AS (
    SELECT id, 0 AS n, event_id, chat_id, user_id, created_at, name, payload FROM waiting WHERE events IS NULL
    UNION ALL
    SELECT id, n, field[1]::uuid, NULLIF(field[2]::bigint, 0), field[3]::bigint, created_at, field[4], field[5]
    FROM waiting
    CROSS JOIN LATERAL unnest(string_to_array(rtrim(events, E'\n'), E'\n')) WITH ORDINALITY AS line (event, n)
    CROSS JOIN LATERAL regexp_match(event, E'^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$') AS field
    WHERE events IS NOT NULL
)
INSERT INTO outbox (event_id, chat_id, user_id, created_at, name, payload)
SELECT event_id, chat_id, user_id, created_at, name, payload FROM unpacked ORDER BY id, n;

ALTER TABLE outbox
    DROP CONSTRAINT outbox_shape,
    DROP COLUMN events,
    DROP COLUMN size,
    ALTER COLUMN event_id SET NOT NULL,
    ALTER COLUMN user_id SET NOT NULL,
    ALTER COLUMN name SET NOT NULL,
    ALTER COLUMN payload SET NOT NULL;
ALTER TABLE outbox RESET (toast_tuple_target);
ALTER TABLE outbox SET (autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_insert_threshold = 50000);
