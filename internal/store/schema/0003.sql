-- Schema 3: what is sent about a packed event is made when it is unpacked, from the records of
-- its session; packs of schema 2 hold it ready (outbox_pack.go).

-- The newest event of the session that went into the outbox; null: none did. While a pack may
-- hold that event, the session is not pruned.
ALTER TABLE sessions ADD COLUMN outbox_seq INTEGER;

UPDATE sessions SET outbox_seq = e.seq FROM
  (SELECT session_id, account, max(seq) AS seq FROM events
    WHERE seq >= (SELECT min(seq) FROM outbox_packs) GROUP BY session_id, account) AS e
  WHERE sessions.session_id = e.session_id AND sessions.account = e.account;

-- What is packed is counted in memory from now on.
UPDATE forwards SET pending = (SELECT count(*) FROM outbox WHERE forward = forwards.id);
