package queries

import (
	"context"
	"fmt"
	"time"

	"github.com/lib/pq"
)

// User is a user's details as the auth service gave them.
type User struct {
	ID int64
	// Details is a JSON object.
	Details []byte
}

// The members that the stored details lack are added from the new ones, or the
// other way round. json, unlike jsonb, keeps every value's text.
const (
	keepStored = `(
        SELECT json_object_agg(merged.key, merged.value)
        FROM (
            SELECT key, value FROM json_each(u.details)
            UNION ALL
            SELECT key, value FROM json_each(excluded.details) AS e
            WHERE NOT EXISTS (SELECT FROM json_object_keys(u.details) AS k (key) WHERE k.key = e.key)
        ) AS merged)`
	keepNew = `(
        SELECT json_object_agg(merged.key, merged.value)
        FROM (
            SELECT key, value FROM json_each(excluded.details)
            UNION ALL
            SELECT key, value FROM json_each(u.details) AS e
            WHERE NOT EXISTS (SELECT FROM json_object_keys(excluded.details) AS k (key) WHERE k.key = e.key)
        ) AS merged)`
)

// What a user said after the auth service was asked is newer than its answer.
const saveUsersStatement = `
INSERT INTO users AS u (id, updated_at, details)
SELECT id, $1::timestamptz, details::json
FROM unnest($2::int8[], $3::text[]) AS v (id, details)
ON CONFLICT (id) DO UPDATE SET
    updated_at = GREATEST(u.updated_at, excluded.updated_at),
    details = CASE WHEN u.updated_at < excluded.updated_at THEN excluded.details ELSE ` + keepStored + ` END`

// SaveUsers stores what the auth service said of the users, ascending by id,
// when it was asked at askedAt by the database's clock.
func (r *Reader) SaveUsers(ctx context.Context, askedAt time.Time, users []User) error {
	ids, details := make([]int64, len(users)), make([]string, len(users))
	for i, u := range users {
		ids[i], details[i] = u.ID, string(u.Details)
	}
	_, err := within(ctx, r, func(ctx context.Context) (struct{}, error) {
		_, err := r.db.ExecContext(ctx, saveUsersStatement, askedAt, pq.Array(ids), pq.Array(details))
		return struct{}{}, err
	})
	if err != nil {
		return fmt.Errorf("saving users: %w", err)
	}
	return nil
}

const updateUserStatement = `
INSERT INTO users AS u (id, updated_at, details) VALUES ($1, clock_timestamp(), $2::text::json)
ON CONFLICT (id) DO UPDATE SET
    updated_at = GREATEST(u.updated_at, excluded.updated_at), details = ` + keepNew

// UpdateUser puts the members of the JSON object changes into the user's details
// and keeps all others. Every chat shows them at once, because no chat has a
// copy. Updates of one user take effect in the order in which they arrive.
func (r *Reader) UpdateUser(ctx context.Context, id int64, changes []byte) error {
	_, err := within(ctx, r, func(ctx context.Context) (struct{}, error) {
		_, err := r.db.ExecContext(ctx, updateUserStatement, id, string(changes))
		return struct{}{}, err
	})
	if err != nil {
		return fmt.Errorf("updating a user: %w", err)
	}
	return nil
}

// EnsureChat is DB.EnsureChat with the caller's deadline kept on a connection
// whose other end has vanished.
func (r *Reader) EnsureChat(ctx context.Context, members []int64) (int64, error) {
	return within(ctx, r, func(ctx context.Context) (int64, error) {
		return r.db.EnsureChat(ctx, members)
	})
}
