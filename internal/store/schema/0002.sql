-- Schema 2: the outbox, events that are still to be forwarded.

-- A target of results, by the name the configuration gives it. One that is not configured any
-- more keeps what is pending for it. The counts are kept with each commit.
CREATE TABLE forwards (
  id               INTEGER PRIMARY KEY,
  name             TEXT NOT NULL UNIQUE,
  pending          INTEGER NOT NULL DEFAULT 0 CHECK (pending >= 0),
  dead             INTEGER NOT NULL DEFAULT 0 CHECK (dead >= 0),
  new_dead         INTEGER NOT NULL DEFAULT 0 CHECK (new_dead >= 0), -- not acknowledged
  failing_since_ms INTEGER,         -- since when nothing has come through
  last_error       TEXT             -- null after a success
) STRICT;

-- Events for the outbox as they were written, up to 64 of one transaction together: one row for
-- many events keeps what a delivery costs small. They are unpacked into the two tables below
-- when their turn comes near (outbox_pack.go).
CREATE TABLE outbox_packs (
  seq          INTEGER PRIMARY KEY, -- of its first event
  store        TEXT NOT NULL,       -- the store's id when it was written
  at_ms        INTEGER NOT NULL,    -- of its first event
  last_session INTEGER NOT NULL,    -- highest number of a session in it
  data         BLOB NOT NULL
) STRICT;

-- What is sent about an event, fixed when the event was written. It is kept as long as a
-- forward has the event pending or as a dead letter, and stands for itself: the event and its
-- session may be pruned.
CREATE TABLE payloads (
  seq        INTEGER PRIMARY KEY,   -- of the event
  store      TEXT NOT NULL,         -- the store's id when the event was written
  at_ms      INTEGER NOT NULL,
  account    INTEGER NOT NULL REFERENCES accounts,
  session_id ANY NOT NULL,
  change     INTEGER NOT NULL,
  body       TEXT NOT NULL          -- JSON
) STRICT;

-- The outbox. Of the events of one session that are pending for one forward exactly one, the
-- oldest, has its turn: it alone has next_at_ms. The others wait for it.
CREATE TABLE outbox (
  forward    INTEGER NOT NULL,
  seq        INTEGER NOT NULL,
  session    INTEGER NOT NULL,      -- number of the session, to keep its events in order
  queued_ms  INTEGER NOT NULL,
  turn_ms    INTEGER,               -- since when it is its turn
  next_at_ms INTEGER,               -- when it is sent next
  refused_ms INTEGER,               -- since when it is answered with a 4xx that means no
  attempts   INTEGER NOT NULL DEFAULT 0,
  status     INTEGER NOT NULL DEFAULT 0, -- of the last answer, 0 without one
  error      TEXT,
  late       INTEGER NOT NULL DEFAULT 0 CHECK (late IN (0, 1)), -- was a dead letter before
  CHECK ((turn_ms IS NULL) = (next_at_ms IS NULL)),
  PRIMARY KEY (forward, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_session ON outbox (session); -- SQLite adds (forward, seq)
CREATE INDEX outbox_due ON outbox (forward, next_at_ms) WHERE next_at_ms IS NOT NULL;

-- Dead letters of forwards.
CREATE TABLE outbox_dead (
  forward     INTEGER NOT NULL,
  seq         INTEGER NOT NULL,
  session     INTEGER NOT NULL,
  died_ms     INTEGER NOT NULL,
  attempts    INTEGER NOT NULL,
  status      INTEGER NOT NULL,
  error       TEXT,
  acked_at_ms INTEGER,
  acked_by    INTEGER,
  PRIMARY KEY (forward, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_dead_session ON outbox_dead (session);
