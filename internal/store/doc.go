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
// # Speed
//
// scripts/bench.sh holds a delivery against a handler that stores nothing. What it costs, by
// profile, is one half SQLite, one third net/http, the rest Go's scheduler and collector. Of
// SQLite's half the commit takes as much as all statements together: the pages that a batch has
// changed are written to the log, two calls each, and a new session's id alone, being random,
// changes a page of the index of its own. So the pages decide, and then the columns bound.
//
// What paid, the most first: statements that go to the driver without database/sql, and name
// only the columns that have a value, and asking the index alone whether a session is new
// (statement.go, row.go; together two fifths of a delivery's time in the store); group commit without a delay; records that
// are chained instead of indexed; ids of sixteen bytes; checkpoints beside the commits, and a
// log that is begun anew between two batches (checkpoint.go); figures gathered in a transaction
// and written once; yielding before a batch is taken (queue.go; 4 to 6 % more deliveries);
// sums of whole hours remembered for status (window.go); looking a large store over after the
// start instead of before (look.go); for a forward, to write down with a delivery only what its
// records do not tell, and to make what is sent of it later (outbox_pack.go, outbox_moment.go; a delivery whose
// event is forwarded takes 2 to 4 % longer than one whose is not, instead of 10 %).
//
// What did not, tried and measured: inserting several rows with one statement (a tenth of
// an insert, for a batch of 32); a wait of 0.1 to 0.25 ms for more deliveries (no more than
// yielding); GOMAXPROCS one or two above the processors (less, on two of them); GOGC=400 (6 %
// more, for 12 MB); pages of 8 KiB (less, and half as much again to write); a cache of 24 MB for
// ten million sessions (within the noise, for 30 MB). An index that is filled later, from ids
// held in memory meanwhile, was not tried: it would save most of a commit's pages, and the
// unique key, which makes a repeated delivery harmless, would become an if.
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
// may succeed. Damage is looked for at the start: before anything is served while the file is
// small, beside the work when it is not (look.go).
//
// # Space
//
// Pruning frees pages inside the file, and what comes next takes them: a store in its steady
// state stays as large as it once was and does not shrink. incremental_vacuum is not used. It
// would keep a map of pages that every commit has to maintain, and give back space that the
// next day needs again. Whoever wants a smaller file makes one: db backup writes a compact
// copy, db restore puts it in place.
package store
