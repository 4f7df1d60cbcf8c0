-- +goose Up

-- An event lives for milliseconds: compressing a long one costs far more than
-- the disk that it saves for as long.
ALTER TABLE outbox ALTER COLUMN payload SET STORAGE EXTERNAL;

-- A message lives for years. lz4 packs a little less than the server's default
-- and takes a fraction of its time, which for a text of 16 KiB was most of what
-- storing it cost. A server that was built without lz4 keeps its default.
-- +goose StatementBegin
DO $$
BEGIN
    ALTER TABLE messages ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION
    WHEN feature_not_supported THEN
        RAISE NOTICE 'this server has no lz4: long texts are packed by its default';
END
$$;
-- +goose StatementEnd

-- +goose Down
ALTER TABLE messages ALTER COLUMN body SET COMPRESSION DEFAULT;
ALTER TABLE outbox ALTER COLUMN payload SET STORAGE EXTENDED;
