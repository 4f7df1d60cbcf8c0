-- +goose Up

-- What people have asked to be done with poisoned messages. Whoever asks only
-- writes a row here; one worker at a time does the work, and finds in the row how
-- far it has come.
CREATE TABLE poison_jobs (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            text        NOT NULL CHECK (kind IN ('replay', 'discard', 'purge')),
    state           text        NOT NULL DEFAULT 'running'
                                CHECK (state IN ('running', 'paused', 'done', 'failed', 'cancelled')),
    selection       json        NOT NULL,
    bound           bigint      NOT NULL,
    expected        bigint      NOT NULL,
    rate            integer     NOT NULL CHECK (rate >= 0),
    max_attempts    integer     NOT NULL,
    forced          boolean     NOT NULL,
    reason          text        NOT NULL,
    claimed         bigint      NOT NULL DEFAULT 0,
    done            bigint      NOT NULL DEFAULT 0,
    failed          bigint      NOT NULL DEFAULT 0,
    cursor_seen     timestamptz NOT NULL DEFAULT '-infinity',
    cursor_sequence bigint      NOT NULL DEFAULT 0,
    cursor_id       bigint      NOT NULL DEFAULT 0,
    who             text        NOT NULL,
    via             text        NOT NULL,
    error           text        NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz
);

COMMENT ON COLUMN poison_jobs.bound IS 'the newest entry that the preview saw: what came later is not part of the job';
COMMENT ON COLUMN poison_jobs.rate IS 'messages a second, 0 for as fast as possible';
COMMENT ON COLUMN poison_jobs.cursor_seen IS 'with cursor_sequence and cursor_id the place of the last claimed entry: a message that comes back lies behind it, so no job takes it twice';

CREATE INDEX poison_jobs_open ON poison_jobs (id) WHERE state IN ('running', 'paused');

-- The messages that the pipeline could not process. They come out of the poison
-- queue, and are acknowledged there once they are committed here.
CREATE TABLE poisoned (
    id                bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    poison_id         uuid        NOT NULL,
    state             text        NOT NULL CHECK (state IN ('waiting', 'replaying', 'replayed', 'discarded')),
    code              text        NOT NULL,
    stage             text        NOT NULL,
    detail            text        NOT NULL,
    exchange          text        NOT NULL,
    routing_key       text        NOT NULL,
    queue             text        NOT NULL,
    first_seen        timestamptz NOT NULL,
    sequence          bigint      NOT NULL,
    last_seen         timestamptz NOT NULL,
    collected_at      timestamptz NOT NULL DEFAULT now(),
    copies            integer     NOT NULL DEFAULT 1,
    generation        integer     NOT NULL,
    merged_id         uuid,
    fingerprint       bytea       NOT NULL,
    attempts          integer     NOT NULL,
    returned          integer     NOT NULL,
    chat_id           text        NOT NULL,
    sender_id         bigint      NOT NULL,
    client_message_id text        NOT NULL,
    properties        json        NOT NULL,
    headers           json        NOT NULL,
    body              bytea       NOT NULL,
    body_search       text        NOT NULL,
    edited_body       bytea,
    edited_at         timestamptz,
    edited_by         text        NOT NULL DEFAULT '',
    claimed_by        bigint      REFERENCES poison_jobs (id),
    settled_at        timestamptz,
    settled_by        text        NOT NULL DEFAULT '',
    note              text        NOT NULL DEFAULT '',
    CONSTRAINT poisoned_poison_id_key UNIQUE (poison_id),
    CHECK ((state = 'replaying') = (claimed_by IS NOT NULL)),
    CHECK ((state IN ('replayed', 'discarded')) = (settled_at IS NOT NULL))
);

COMMENT ON COLUMN poisoned.first_seen IS 'when the pipeline got it; with sequence its place in the original order';
COMMENT ON COLUMN poisoned.copies IS 'how often the same delivery was parked, because the broker delivered it again';
COMMENT ON COLUMN poisoned.generation IS 'how often the broker had delivered it before, when it was parked last';
COMMENT ON COLUMN poisoned.merged_id IS 'the poison id of the last copy that was recognized as this one';
COMMENT ON COLUMN poisoned.fingerprint IS 'SHA-256 of where it came from and what it holds';
COMMENT ON COLUMN poisoned.attempts IS 'how often it was replayed';
COMMENT ON COLUMN poisoned.returned IS 'the highest attempt that came back';
COMMENT ON COLUMN poisoned.chat_id IS 'empty where the message does not tell; sender_id is then 0';
COMMENT ON COLUMN poisoned.body_search IS 'the beginning of the body in lower case, for contains';
COMMENT ON COLUMN poisoned.note IS 'why it was discarded, or why its last replay did not get through';

-- Pages, of everything in a state or of one group of it.
CREATE INDEX poisoned_page ON poisoned (state, id);
CREATE INDEX poisoned_group_page ON poisoned (state, code, id);
-- The ends of a group's time.
CREATE INDEX poisoned_group_first ON poisoned (state, code, stage, first_seen);
CREATE INDEX poisoned_group_last ON poisoned (state, code, stage, last_seen);
-- What a job takes next.
CREATE INDEX poisoned_order ON poisoned (first_seen, sequence, id) WHERE state = 'waiting';
CREATE INDEX poisoned_claimed ON poisoned (claimed_by) WHERE claimed_by IS NOT NULL;
-- Whose it is, which copy it is, and what is old enough to go.
CREATE INDEX poisoned_chat ON poisoned (chat_id, id);
CREATE INDEX poisoned_sender ON poisoned (sender_id, id);
CREATE INDEX poisoned_fingerprint ON poisoned (fingerprint);
CREATE INDEX poisoned_settled ON poisoned (settled_at) WHERE settled_at IS NOT NULL;

-- What became of each replay; attempt 0 is how it was poisoned first, and is
-- written when it comes back with a later one.
CREATE TABLE poison_attempts (
    poisoned_id  bigint      NOT NULL REFERENCES poisoned (id) ON DELETE CASCADE,
    attempt      integer     NOT NULL,
    job_id       bigint      REFERENCES poison_jobs (id),
    edited       boolean     NOT NULL DEFAULT false,
    claimed_at   timestamptz,
    confirmed_at timestamptz,
    error        text        NOT NULL DEFAULT '',
    returned_at  timestamptz,
    code         text        NOT NULL DEFAULT '',
    stage        text        NOT NULL DEFAULT '',
    detail       text        NOT NULL DEFAULT '',
    PRIMARY KEY (poisoned_id, attempt)
);

CREATE INDEX poison_attempts_returned ON poison_attempts (job_id) WHERE returned_at IS NOT NULL;

-- How many entries a group has. Counting a million of them takes a second, and
-- the console asks every few; so each statement leaves the difference that it
-- made here.
CREATE TABLE poison_groups (
    state   text   NOT NULL,
    code    text   NOT NULL,
    stage   text   NOT NULL,
    entries bigint NOT NULL,
    PRIMARY KEY (state, code, stage)
) WITH (fillfactor = 50);

-- The order keeps two statements that touch the same groups from waiting for
-- each other.
-- +goose StatementBegin
CREATE FUNCTION count_poisoned() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO poison_groups AS g (state, code, stage, entries)
        SELECT state, code, stage, count(*) FROM after_rows GROUP BY state, code, stage ORDER BY state, code, stage
        ON CONFLICT (state, code, stage) DO UPDATE SET entries = g.entries + excluded.entries;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO poison_groups AS g (state, code, stage, entries)
        SELECT state, code, stage, -count(*) FROM before_rows GROUP BY state, code, stage ORDER BY state, code, stage
        ON CONFLICT (state, code, stage) DO UPDATE SET entries = g.entries + excluded.entries;
    ELSE
        INSERT INTO poison_groups AS g (state, code, stage, entries)
        SELECT state, code, stage, sum(change) FROM (
            SELECT state, code, stage, 1 AS change FROM after_rows
            UNION ALL
            SELECT state, code, stage, -1 FROM before_rows
        ) AS changes
        GROUP BY state, code, stage HAVING sum(change) <> 0 ORDER BY state, code, stage
        ON CONFLICT (state, code, stage) DO UPDATE SET entries = g.entries + excluded.entries;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER count_inserted AFTER INSERT ON poisoned
    REFERENCING NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION count_poisoned();
CREATE TRIGGER count_updated AFTER UPDATE ON poisoned
    REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION count_poisoned();
CREATE TRIGGER count_deleted AFTER DELETE ON poisoned
    REFERENCING OLD TABLE AS before_rows FOR EACH STATEMENT EXECUTE FUNCTION count_poisoned();

-- Who did what, also what was refused or failed.
CREATE TABLE audit (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL DEFAULT now(),
    who       text        NOT NULL,
    via       text        NOT NULL,
    action    text        NOT NULL,
    selection json        NOT NULL DEFAULT '{}',
    affected  bigint      NOT NULL,
    result    text        NOT NULL CHECK (result IN ('done', 'partly', 'failed', 'refused', 'started')),
    detail    text        NOT NULL,
    job_id    bigint
);

COMMENT ON COLUMN audit.via IS 'cli, rest, console or service';

-- +goose Down
DROP TABLE audit;
DROP TABLE poison_groups;
DROP TABLE poison_attempts;
DROP TABLE poisoned;
DROP TABLE poison_jobs;
DROP FUNCTION count_poisoned;
