package queries

import (
	"errors"

	"github.com/lib/pq"
)

// ErrNotFound is returned where a single row was asked for and there is none.
var ErrNotFound = errors.New("not found")

// errStale asks for the transaction to be done again: what it decided on had
// changed by the time it wrote.
var errStale = errors.New("another transaction was first")

// Fault says whose fault an error is, and so what to do about it.
type Fault int

const (
	// FaultOutage is everything that is not a message's fault: the link, the
	// capacity, the deployment, and every error that is not known to be another.
	// Hold the work, try again, never give up.
	FaultOutage Fault = iota
	// FaultConflict is a clash with another transaction: do it again at once.
	FaultConflict
	// FaultData says that Postgres refuses a value: somewhere in the batch there
	// is a message that can never be stored.
	FaultData
)

// Classify reads the SQLSTATE. Only a state that names the data can ever cost a
// message its place; a unique violation is not among them, because the one that
// means a duplicate is not passed on, so that one that still comes is a fault of the
// schema.
func Classify(err error) Fault {
	if errors.Is(err, errStale) {
		return FaultConflict
	}
	var pqErr *pq.Error
	if !errors.As(err, &pqErr) {
		return FaultOutage
	}
	switch pqErr.Code {
	case "40001", "40P01":
		return FaultConflict
	case "23502", "23514":
		return FaultData
	}
	switch pqErr.Code.Class() {
	case "22", "54":
		return FaultData
	}
	return FaultOutage
}

// violates tells that the error is a row that the unique constraint has already.
func violates(err error, constraint string) bool {
	var pqErr *pq.Error
	return errors.As(err, &pqErr) && pqErr.Code == "23505" && pqErr.Constraint == constraint
}

// lockTimedOut tells the end of lock_timeout.
func lockTimedOut(err error) bool {
	var pqErr *pq.Error
	return errors.As(err, &pqErr) && pqErr.Code == "55P03"
}
