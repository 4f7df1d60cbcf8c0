-- +goose Up

-- A chat is the set of its members: the same users always share one chat.
-- last_seq hands out the positions of its messages. It is only ever changed
-- under the row's lock and in the transaction that stores the messages, so
-- positions have no gaps. fillfactor leaves room for those updates to stay on
-- their page (HOT), away from the indexes.
CREATE TABLE chats (
    id         bigint      PRIMARY KEY CHECK (id > 0),
    last_seq   bigint      NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    member_ids bigint[]    NOT NULL CHECK (cardinality(member_ids) >= 2),
    CONSTRAINT chats_member_ids_key UNIQUE (member_ids)
) WITH (fillfactor = 70);

COMMENT ON COLUMN chats.id IS 'random 63-bit integer: half a UUID in the largest index, and not guessable';
COMMENT ON COLUMN chats.member_ids IS 'the user ids, ascending, each once';

-- The same membership the other way round: the chats of a user.
CREATE TABLE members (
    user_id bigint NOT NULL,
    chat_id bigint NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, chat_id)
);

-- User details exactly as the auth service gave them; json, not jsonb, keeps
-- the text as it came.
CREATE TABLE users (
    id         bigint      PRIMARY KEY CHECK (id > 0),
    updated_at timestamptz NOT NULL DEFAULT now(),
    details    json        NOT NULL
);

-- Two indexes and no more: each further one costs about a tenth of the
-- pipeline's throughput. There is no foreign key to chats because the chat's
-- row is locked by the transaction that inserts, and a check per row would
-- only repeat that.
CREATE TABLE messages (
    chat_id           bigint      NOT NULL,
    seq               bigint      NOT NULL,
    sender_id         bigint      NOT NULL,
    recipient_id      bigint      NOT NULL,
    delivered_at      timestamptz NOT NULL,
    is_edited         boolean     NOT NULL DEFAULT false,
    is_deleted        boolean     NOT NULL DEFAULT false,
    fingerprint       bytea       NOT NULL,
    client_message_id text        NOT NULL,
    sent_at           text        NOT NULL,
    body              text        NOT NULL,
    CONSTRAINT messages_pkey PRIMARY KEY (chat_id, seq),
    CONSTRAINT messages_idempotency_key UNIQUE (sender_id, client_message_id)
);

COMMENT ON COLUMN messages.sent_at IS 'the sender''s own text: it goes back out exactly as it came in';
COMMENT ON COLUMN messages.fingerprint IS 'SHA-256 of the content as first received, 16 bytes: tells a repeat from a conflict even after an edit';

-- Events that are committed but not yet confirmed by the broker. Rows live for
-- milliseconds, so the table is mostly dead rows: vacuum it early and often.
CREATE TABLE outbox (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id   uuid        NOT NULL,
    chat_id    bigint,
    user_id    bigint      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    name       text        NOT NULL,
    payload    text        NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 50000,
    autovacuum_vacuum_cost_delay = 0
);

COMMENT ON COLUMN outbox.chat_id IS 'null for a message that names no chat of ours';
COMMENT ON COLUMN outbox.user_id IS 'who the event is for where routing is by user: the recipient of an accepted message, the sender of a rejected one';

-- +goose Down
DROP TABLE outbox;
DROP TABLE messages;
DROP TABLE users;
DROP TABLE members;
DROP TABLE chats;
