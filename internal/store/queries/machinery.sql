-- Counters, jobs, audit, idempotency, policies, API keys.

-- name: Count :one
INSERT INTO counters (key, minute_start, minute_n, hour_start, hour_n, day_start, day_n)
VALUES ($1, $2, 1, $2, 1, $2, 1)
ON CONFLICT (key) DO UPDATE SET
  minute_n     = CASE WHEN counters.minute_start <= excluded.minute_start - 60000 THEN 1 ELSE counters.minute_n + 1 END,
  minute_start = CASE WHEN counters.minute_start <= excluded.minute_start - 60000 THEN excluded.minute_start ELSE counters.minute_start END,
  hour_n       = CASE WHEN counters.hour_start <= excluded.hour_start - 3600000 THEN 1 ELSE counters.hour_n + 1 END,
  hour_start   = CASE WHEN counters.hour_start <= excluded.hour_start - 3600000 THEN excluded.hour_start ELSE counters.hour_start END,
  day_n        = CASE WHEN counters.day_start <= excluded.day_start - 86400000 THEN 1 ELSE counters.day_n + 1 END,
  day_start    = CASE WHEN counters.day_start <= excluded.day_start - 86400000 THEN excluded.day_start ELSE counters.day_start END
RETURNING minute_start, minute_n, hour_start, hour_n, day_start, day_n;

-- name: Uncount :exec
UPDATE counters SET minute_n = minute_n - 1, hour_n = hour_n - 1, day_n = day_n - 1
WHERE key = $1 AND minute_n > 0 AND hour_n > 0 AND day_n > 0;

-- Eight buckets of one number: what they counted in hours that began after since.
-- name: SumHour :one
SELECT CAST(COALESCE(SUM(hour_n), 0) AS BIGINT) AS n FROM counters
WHERE hour_start > sqlc.arg(since)
  AND key IN (sqlc.arg(k0), sqlc.arg(k1), sqlc.arg(k2), sqlc.arg(k3), sqlc.arg(k4), sqlc.arg(k5), sqlc.arg(k6), sqlc.arg(k7));

-- name: SweepCounters :execrows
DELETE FROM counters WHERE day_start <= $1;

-- name: InsertJob :exec
INSERT INTO jobs (key, id, kind, due_at, payload, attempt, lease_until, dead_at, last_error) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, '');

-- name: InsertJobOnce :exec
INSERT INTO jobs (key, id, kind, due_at, payload, attempt, lease_until, dead_at, last_error) VALUES ($1, $2, $3, $4, $5, 0, 0, 0, '')
ON CONFLICT (key, id) DO NOTHING;

-- name: JobWaits :many
SELECT kind FROM jobs WHERE dead_at = 0 AND due_at <= sqlc.arg(now) AND lease_until <= sqlc.arg(now) LIMIT 1;

-- The outer conditions stand again: of two nodes that picked the same rows, the
-- second waits for the first and then finds its condition false.
-- name: ClaimJobs :many
UPDATE jobs SET lease_until = sqlc.arg(lease), attempt = attempt + 1
WHERE (key, id) IN (
    SELECT j.key, j.id FROM jobs j
    WHERE j.dead_at = 0 AND j.due_at <= sqlc.arg(now) AND j.lease_until <= sqlc.arg(now)
    ORDER BY j.due_at LIMIT sqlc.arg(most))
  AND dead_at = 0 AND due_at <= sqlc.arg(now) AND lease_until <= sqlc.arg(now)
RETURNING key, id, kind, due_at, payload, attempt;

-- name: FinishJob :execrows
DELETE FROM jobs WHERE key = $1 AND id = $2 AND attempt = $3;

-- FinishJob of one that nobody asks about any more.
-- name: DropJob :exec
DELETE FROM jobs WHERE key = $1 AND id = $2 AND attempt = $3;

-- name: RetryJob :execrows
UPDATE jobs SET due_at = $4, lease_until = 0, last_error = $5 WHERE key = $1 AND id = $2 AND attempt = $3;

-- name: BuryJob :execrows
UPDATE jobs SET dead_at = $4, lease_until = 0, last_error = $5 WHERE key = $1 AND id = $2 AND attempt = $3;

-- name: EarlierJobs :one
SELECT COUNT(*) AS n FROM jobs WHERE key = $1 AND kind = $2 AND id < $3 AND dead_at = 0;

-- name: DeadJobs :many
SELECT key, id, kind, due_at, attempt, dead_at, last_error FROM jobs WHERE dead_at > 0 ORDER BY dead_at DESC LIMIT $1;

-- name: AuditChain :many
SELECT * FROM audit_entries WHERE owner = $1 AND chain = $2 ORDER BY seq;

-- In the order of the index of those that wait: with more to sort by, SQLite would read the
-- whole table instead, at every step.
-- name: UnsequencedEntries :many
SELECT owner, chain, seq, at, hash FROM audit_entries WHERE leaf IS NULL ORDER BY at LIMIT $1;

-- name: InsertLeaf :exec
INSERT INTO log_leaves (leaf, owner, chain, seq) VALUES ($1, $2, $3, $4);

-- typed is 0 for keys of another type, which SQLite would let somebody write and which equal nothing.
-- name: LogLeaves :many
SELECT leaf, owner, chain, seq, CAST(CASE WHEN owner = CAST(owner AS TEXT) AND chain = CAST(chain AS TEXT) THEN 1 ELSE 0 END AS BIGINT) AS typed
FROM log_leaves WHERE leaf > $1 ORDER BY leaf LIMIT $2;

-- name: LeafEntries :many
SELECT l.leaf, l.owner, l.chain, l.seq, e.at, e.event, e.from_state, e.to_state, e.commitment, e.prev, e.hash, e.leaf AS entry_leaf
FROM log_leaves l LEFT JOIN audit_entries e ON e.owner = l.owner AND e.chain = l.chain AND e.seq = l.seq
WHERE l.leaf >= $1 ORDER BY l.leaf LIMIT $2;

-- name: GetLogHash :one
SELECT hash FROM log_hashes WHERE idx = $1;

-- name: LogHashes :many
SELECT idx, hash FROM log_hashes WHERE idx > $1 ORDER BY idx LIMIT $2;

-- name: GetLogHead :one
SELECT size, checkpoint, high_water FROM log_head WHERE id = 1;

-- The no-op write takes the row's lock before it is read: one sequencer at a time.
-- name: LockLogHead :one
UPDATE log_head SET size = size WHERE id = 1 RETURNING size, checkpoint, high_water;

-- name: UpdateLogHead :execrows
UPDATE log_head SET size = sqlc.arg(size), checkpoint = sqlc.arg(checkpoint), high_water = sqlc.arg(high_water)
WHERE id = 1 AND size = sqlc.arg(was);

-- name: EntriesAfter :many
SELECT owner, chain, seq, at, event, from_state, to_state, payload, nonce, commitment, prev, hash, leaf,
  CAST(CASE WHEN owner = CAST(owner AS TEXT) AND chain = CAST(chain AS TEXT) THEN 1 ELSE 0 END AS BIGINT) AS typed
FROM audit_entries
WHERE (owner, chain, seq) > (CAST(sqlc.arg(owner) AS TEXT), CAST(sqlc.arg(chain) AS TEXT), CAST(sqlc.arg(seq) AS BIGINT)) ORDER BY owner, chain, seq LIMIT sqlc.arg(most);

-- name: CaseHeads :many
SELECT subject, id, realm, state, chain_seq, chain_head,
  CAST(CASE WHEN subject = CAST(subject AS TEXT) AND id = CAST(id AS TEXT) THEN 1 ELSE 0 END AS BIGINT) AS typed
FROM cases
WHERE (subject, id) > (CAST(sqlc.arg(subject) AS TEXT), CAST(sqlc.arg(id) AS TEXT)) ORDER BY subject, id LIMIT sqlc.arg(most);

-- name: AccountHeads :many
SELECT account_id, realm, chain_seq, chain_head, CAST(CASE WHEN account_id = CAST(account_id AS TEXT) THEN 1 ELSE 0 END AS BIGINT) AS typed
FROM accounts WHERE account_id > $1 ORDER BY account_id LIMIT $2;

-- name: GetReply :one
SELECT fingerprint, reply, created_at FROM idempotency WHERE scope = $1 AND key = $2;

-- name: InsertReply :exec
INSERT INTO idempotency (scope, key, fingerprint, reply, created_at) VALUES ($1, $2, $3, $4, $5);

-- name: TouchReply :exec
UPDATE idempotency SET created_at = created_at WHERE scope = $1 AND key = $2;

-- name: DeleteReply :exec
DELETE FROM idempotency WHERE scope = $1 AND key = $2 AND created_at <= $3;

-- name: SweepReplies :execrows
DELETE FROM idempotency WHERE created_at <= $1;

-- name: PutPolicy :exec
INSERT INTO policies (digest, realm, name, source, loaded_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (digest) DO NOTHING;

-- name: GetPolicy :one
SELECT * FROM policies WHERE digest = $1;

-- name: InsertAPIKey :exec
INSERT INTO api_keys (id, realm, name, hash, scopes, created_at, revoked_at) VALUES ($1, $2, $3, $4, $5, $6, 0);

-- name: GetAPIKey :one
SELECT * FROM api_keys WHERE id = $1;

-- name: ListAPIKeys :many
SELECT * FROM api_keys WHERE realm = $1 ORDER BY created_at;

-- name: RevokeAPIKey :execrows
UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at = 0;

-- name: Ping :one
SELECT size FROM log_head WHERE id = 1;
