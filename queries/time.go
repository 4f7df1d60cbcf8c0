package queries

import (
	"encoding/binary"
	"fmt"
	"time"
)

// epoch is where Postgres counts its microseconds from: 2000-01-01, in those of
// Unix.
const epoch = 946_684_800_000_000

// postgresTime is a timestamptz as the server keeps it. Statements that return
// many ask for it by timestamptz_send: extract calculates with decimals, which
// costs more than reading the row.
func postgresTime(micros int64) time.Time {
	return time.UnixMicro(micros + epoch).UTC()
}

// parseTime reads what timestamptz_send wrote.
func parseTime(b []byte) (time.Time, error) {
	if len(b) != 8 {
		return time.Time{}, fmt.Errorf("a timestamp of %d bytes", len(b))
	}
	return postgresTime(int64(binary.BigEndian.Uint64(b))), nil //nolint:gosec // as Postgres wrote it
}
