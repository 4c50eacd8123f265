-- Schema 1. Integers stand for the words of package verdict (see codes.go); the view
-- session_list spells them out for people. Times end in _ms (Unix milliseconds, our clock)
-- or _ns (Unix nanoseconds, Moveris' clock), all UTC.

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
  id            INTEGER PRIMARY KEY,
  name          TEXT NOT NULL UNIQUE,
  learned_rate  REAL NOT NULL DEFAULT 0   -- requests a minute after a 429; 0: none learned
) STRICT;

-- Strings that configuration bounds (labels, routes), written once.
CREATE TABLE names (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE sessions (
  id                  INTEGER PRIMARY KEY,
  account             INTEGER NOT NULL REFERENCES accounts,
  session_id          ANY NOT NULL,              -- 16 bytes for a canonical UUID, else the text
  state               INTEGER NOT NULL CHECK (state BETWEEN 1 AND 5),
  outcome             INTEGER CHECK (outcome BETWEEN 1 AND 6),
  first_by            INTEGER CHECK (first_by BETWEEN 1 AND 3),
  flags               INTEGER NOT NULL,
  head                INTEGER NOT NULL,          -- newest record; the others follow by prev
  last_observed_at_ms INTEGER NOT NULL,
  grace_until_ms      INTEGER,
  next_poll_at_ms     INTEGER,                   -- null: not to be asked about
  asked               INTEGER NOT NULL DEFAULT 0 CHECK (asked IN (0, 1)),
  attempts            INTEGER NOT NULL DEFAULT 0,
  answered            INTEGER NOT NULL DEFAULT 0,
  route               INTEGER REFERENCES names,  -- what answered for it last
  job_id              TEXT,
  metadata            TEXT,
  CHECK ((outcome IS NULL) = (state <> 3))
) STRICT;

CREATE UNIQUE INDEX sessions_by_id ON sessions (session_id, account);
CREATE INDEX sessions_due ON sessions (account, asked, next_poll_at_ms) WHERE next_poll_at_ms IS NOT NULL;
CREATE INDEX sessions_unsettled ON sessions (state, grace_until_ms) WHERE state <> 3;
CREATE INDEX sessions_conflict ON sessions (id) WHERE flags & 1;

-- What happened to a session: observations, marks and the plain answers of attempts.
-- Append-only but for erase, which removes bodies, and the count of redeliveries. Each
-- record names the one before it, so that no index is needed to read a session.
CREATE TABLE records (
  id              INTEGER PRIMARY KEY,
  session         INTEGER NOT NULL,
  prev            INTEGER,
  kind            INTEGER NOT NULL,   -- codes.go
  at_ms           INTEGER NOT NULL,
  n               INTEGER NOT NULL DEFAULT 0, -- by kind: redeliveries, verifications, HTTP status, user id
  flags           INTEGER NOT NULL DEFAULT 0, -- of observations; for expected: the round
  word            TEXT,               -- by kind: status word, conclusion, what was acknowledged
  verdict         TEXT,
  created_at_ns   INTEGER,
  completed_at_ns INTEGER,
  as_of_ns        INTEGER,            -- null: the same as created_at_ns
  due_ms          INTEGER,            -- end of grace, or when a submission's webhook is due
  wait_ms         INTEGER,            -- backoff in force, checks without a verdict only
  model           TEXT,
  type            TEXT,
  job_id          TEXT,
  score           REAL,
  real_score      REAL,
  confidence      REAL,
  label           INTEGER REFERENCES names,
  route           INTEGER REFERENCES names,
  digest          BLOB,
  body            BLOB
) STRICT;

-- Signed deliveries that make no session: events we do not know, and dead letters.
CREATE TABLE loose_deliveries (
  id          INTEGER PRIMARY KEY,
  account     INTEGER NOT NULL REFERENCES accounts,
  reason      TEXT,                   -- why it is a dead letter; null: an unknown event
  event       TEXT,
  at_ms       INTEGER NOT NULL,
  redelivered INTEGER NOT NULL DEFAULT 0,
  acked_at_ms INTEGER,
  acked_by    INTEGER,
  label       INTEGER REFERENCES names,
  digest      BLOB NOT NULL,
  body        BLOB,
  UNIQUE (account, digest)
) STRICT;

CREATE TABLE events (
  seq        INTEGER PRIMARY KEY,
  at_ms      INTEGER NOT NULL,
  account    INTEGER NOT NULL REFERENCES accounts,
  session_id ANY NOT NULL,
  change     INTEGER NOT NULL,
  state      INTEGER NOT NULL,
  outcome    INTEGER,
  first_by   INTEGER,
  conflict   INTEGER NOT NULL
) STRICT;

-- Maintained figures per slot of ten seconds, and totals over all sessions.
CREATE TABLE figures (
  slot   INTEGER NOT NULL,            -- Unix seconds / 10
  figure INTEGER NOT NULL,
  n      INTEGER NOT NULL,
  PRIMARY KEY (slot, figure)
) STRICT, WITHOUT ROWID;

CREATE TABLE totals (
  total INTEGER PRIMARY KEY,
  n     INTEGER NOT NULL
) STRICT;

CREATE TABLE label_stats (
  account      INTEGER NOT NULL REFERENCES accounts,
  label        TEXT NOT NULL,
  last_used_ms INTEGER NOT NULL,
  PRIMARY KEY (account, label)
) STRICT, WITHOUT ROWID;

CREATE TABLE route_stats (
  account     INTEGER NOT NULL REFERENCES accounts,
  route       TEXT NOT NULL,
  last_200_ms INTEGER,
  answers     TEXT NOT NULL,          -- JSON object: status to count
  PRIMARY KEY (account, route)
) STRICT, WITHOUT ROWID;

CREATE VIEW session_list AS
SELECT s.id, a.name AS account,
  CASE typeof(s.session_id) WHEN 'text' THEN s.session_id ELSE
    lower(substr(hex(s.session_id),1,8) || '-' || substr(hex(s.session_id),9,4) || '-' ||
          substr(hex(s.session_id),13,4) || '-' || substr(hex(s.session_id),17,4) || '-' ||
          substr(hex(s.session_id),21)) END AS session_id,
  CASE s.state WHEN 1 THEN 'awaiting' WHEN 2 THEN 'overdue' WHEN 3 THEN 'settled'
               WHEN 4 THEN 'missing' WHEN 5 THEN 'withdrawn' END AS state,
  CASE s.outcome WHEN 1 THEN 'live' WHEN 2 THEN 'fake' WHEN 3 THEN 'inconclusive'
                 WHEN 4 THEN 'failed' WHEN 5 THEN 'expired' WHEN 6 THEN 'cancelled' END AS outcome,
  CASE s.first_by WHEN 1 THEN 'webhook' WHEN 2 THEN 'poll' WHEN 3 THEN 'submitted' END AS first_by,
  s.flags & 1 AS conflict,
  strftime('%Y-%m-%dT%H:%M:%fZ', s.last_observed_at_ms / 1000.0, 'unixepoch') AS last_observed_at
FROM sessions AS s JOIN accounts AS a ON a.id = s.account;
