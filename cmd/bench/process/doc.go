// Package process starts the processes that are measured and reads from /proc
// what they cost. It knows nothing of what they do.
package process
