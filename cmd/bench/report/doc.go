// Package report turns the measured rounds into what a person and a script
// read: a table, ratios with their floors, and JSON. It measures nothing and
// knows no servers.
package report
