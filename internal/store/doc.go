// Package store keeps the one truth: a SQLite file in which every delivery, polled
// answer, submission and mark is appended, and every session is folded again from its
// whole set, in one transaction.
//
// # Writing
//
// All writes go through one goroutine with one connection (see queue.go). Callers hand
// it an operation and wait; it gathers whatever is waiting, without adding any delay,
// runs it in one transaction with synchronous=FULL and releases all waiters after the
// commit. So an answer to Moveris goes out after the fsync, and many deliveries share
// one. An operation that fails takes nothing else with it: the batch is rolled back and
// each operation runs alone.
//
// # Reading
//
// Four read-only connections. Sessions are not read from their row but folded again from
// their records, which are chained by "prev": the row holds what queries select by.
//
// # Failing
//
// After a failed write or fsync the state of the file's pages in memory is unknown, and
// the next commit would succeed all the same. The store therefore refuses everything
// after such an error and closes [Store.Broken]; the daemon exits. A full disk is
// different: the transaction is rolled back, the caller gets [ErrFull], and the next try
// may succeed.
//
// # Space
//
// Pruning frees pages inside the file, and what comes next takes them: a store in its steady
// state stays as large as it once was and does not shrink. incremental_vacuum is not used. It
// would keep a map of pages that every commit has to maintain, and give back space that the
// next day needs again. Whoever wants a smaller file makes one: db backup writes a compact
// copy, db restore puts it in place.
package store
