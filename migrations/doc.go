// Package migrations owns the database schema: the numbered SQL files in this
// folder, embedded in the binary, and the way they are applied.
//
// Rules for a new file:
//   - name it NNNNN_what_it_adds.sql, one number above the last one;
//   - give it an Up and a Down section, each running in one transaction;
//   - the binary of the previous release must go on working after it, because
//     replicas are replaced one by one: add, fill, and only a release later drop;
//   - never edit a file that was released, add another.
//
// The tables are created in whatever schema comes first on the connection's
// search_path, beside goose_db_version, which records what was applied. The
// package knows nothing of the rest of the service.
package migrations
