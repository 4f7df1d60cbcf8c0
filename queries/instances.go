package queries

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Report is what an instance says of itself. A field that its build does not
// know yet, or no more, reads as zero.
type Report struct {
	Host       string   `json:"host"`
	PID        int      `json:"pid"`
	Version    string   `json:"version"`
	Commit     string   `json:"commit"`
	Components []string `json:"components"`
	// Consumer is the state of its consumer, empty without one.
	Consumer string `json:"consumer"`
	// Relay is RelayLeading, RelayStandby, or empty without one.
	Relay string `json:"relay"`
	// InHand of Window deliveries are not settled yet.
	InHand int `json:"in_hand"`
	Window int `json:"window"`
	// BatchLimit is the most messages of a transaction.
	BatchLimit int `json:"batch_limit"`
	// Problems are why it is not ready, by the name of the check.
	Problems map[string]string `json:"problems"`
	Totals   Totals            `json:"totals"`
}

// What an instance's relay does.
const (
	RelayLeading = "leading"
	RelayStandby = "standby"
)

// Totals count since the instance started.
type Totals struct {
	Accepted      int64 `json:"accepted"`
	Rejected      int64 `json:"rejected"`
	Repeated      int64 `json:"repeated"`
	Replayed      int64 `json:"replayed"`
	Poisoned      int64 `json:"poisoned"`
	Dispatched    int64 `json:"dispatched"`
	Unroutable    int64 `json:"unroutable"`
	Held          int64 `json:"held"`
	Retries       int64 `json:"retries"`
	Batches       int64 `json:"batches"`
	BatchMessages int64 `json:"batch_messages"`
}

// Settled counts the deliveries whose outcome is known.
func (t Totals) Settled() int64 {
	return t.Accepted + t.Rejected + t.Repeated + t.Replayed + t.Poisoned
}

// Instance is a running instance, or one that was running a moment ago.
type Instance struct {
	ID        uuid.UUID
	StartedAt time.Time
	SeenAt    time.Time
	// Silent is how long ago that is, by the database's clock.
	Silent time.Duration
	Report Report
	// Earlier is the report before, from EarlierBy before SeenAt; nil after the first.
	Earlier   *Report
	EarlierBy time.Duration
}

// instanceKeptFor is how long an instance is listed that has died without a
// word: long enough for people to see it.
const instanceKeptFor = `interval '2 minutes'`

const (
	heartbeatStatement = `
INSERT INTO instances (id, report) VALUES ($1, $2::json)
ON CONFLICT (id) DO UPDATE
SET earlier = instances.report, earlier_at = instances.seen_at, report = excluded.report, seen_at = now()`
	forgetInstancesStatement = `DELETE FROM instances WHERE seen_at < now() - ` + instanceKeptFor
	leaveStatement           = `DELETE FROM instances WHERE id = $1`
	instancesStatement       = `
SELECT id, started_at, seen_at, extract(epoch FROM now() - seen_at)::float8 AS silent_s, report, earlier,
       COALESCE(extract(epoch FROM seen_at - earlier_at), 0)::float8 AS earlier_s
FROM instances
WHERE seen_at >= now() - ` + instanceKeptFor + `
ORDER BY started_at, id`
)

// Heartbeat stores what the instance says of itself, and forgets those that
// have said nothing for long.
func (db *DB) Heartbeat(ctx context.Context, id uuid.UUID, r Report) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding a heartbeat: %w", err)
	}
	if _, err := db.ExecContext(ctx, heartbeatStatement, id, string(text)); err != nil {
		return fmt.Errorf("storing a heartbeat: %w", err)
	}
	// A statement of its own: two instances that forget each other's rows and
	// renew their own in one transaction would wait for each other in a circle.
	if _, err := db.ExecContext(ctx, forgetInstancesStatement); err != nil {
		return fmt.Errorf("forgetting instances: %w", err)
	}
	return nil
}

// Leave removes an instance that stops.
func (db *DB) Leave(ctx context.Context, id uuid.UUID) error {
	if _, err := db.ExecContext(ctx, leaveStatement, id); err != nil {
		return fmt.Errorf("removing an instance: %w", err)
	}
	return nil
}

// Instances lists the instances that were heard of lately, the oldest first.
func (db *DB) Instances(ctx context.Context) ([]Instance, error) {
	rows, err := db.QueryContext(ctx, instancesStatement)
	if err != nil {
		return nil, fmt.Errorf("listing the instances: %w", err)
	}
	defer func() { _ = rows.Close() }()
	list := []Instance{}
	for rows.Next() {
		var i Instance
		var report, earlier []byte
		var silent, apart float64
		if err := rows.Scan(&i.ID, &i.StartedAt, &i.SeenAt, &silent, &report, &earlier, &apart); err != nil {
			return nil, fmt.Errorf("listing the instances: %w", err)
		}
		i.StartedAt, i.SeenAt = i.StartedAt.UTC(), i.SeenAt.UTC()
		i.Silent, i.EarlierBy = seconds(silent), seconds(apart)
		if err := json.Unmarshal(report, &i.Report); err != nil {
			return nil, fmt.Errorf("reading the report of instance %s: %w", i.ID, err)
		}
		if earlier != nil {
			i.Earlier = &Report{}
			if err := json.Unmarshal(earlier, i.Earlier); err != nil {
				return nil, fmt.Errorf("reading the report of instance %s: %w", i.ID, err)
			}
		}
		list = append(list, i)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("listing the instances: %w", err)
	}
	return list, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
