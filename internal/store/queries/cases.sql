-- name: InsertCase :exec
INSERT INTO cases (subject, id, ref, realm, intent, state, version, kind, identifier, locale, policy_digest,
  token_serial, device, network, account_id, account_epoch, known_device, linked, opened_at, touched_at, expires_at,
  hold_began, hold_until, closed_at, outcome, chain_seq, chain_head)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27);

-- name: InsertCaseRef :exec
INSERT INTO case_refs (ref, subject, case_id) VALUES ($1, $2, $3);

-- name: CaseByRef :one
SELECT subject, case_id FROM case_refs WHERE ref = $1;

-- name: GetCase :one
SELECT * FROM cases WHERE subject = $1 AND id = $2;

-- The guard: a case that moved on since it was read gets no version, which the column
-- refuses. So the statement fails by itself and need not be waited for.
-- name: UpdateCase :exec
UPDATE cases SET state = $3, version = CASE WHEN version = sqlc.arg(was) THEN version + 1 END, token_serial = $4, device = $5,
  account_id = $6, account_epoch = $7, known_device = $8, touched_at = $9, expires_at = $10, hold_began = $11, hold_until = $12,
  closed_at = $13, outcome = $14, chain_seq = $15, chain_head = $16
WHERE subject = $1 AND id = $2;

-- name: CasesDue :many
SELECT subject, id FROM cases WHERE expires_at <= $1 AND state IN ('open', 'held') ORDER BY expires_at LIMIT $2;

-- name: InsertChallenge :exec
INSERT INTO challenges (subject, case_id, id, channel, way, data, destination, candidates, known_device, created_at, expires_at, resend_at, consumed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- These two stand in steps that move the guarded case, so that of two at once one begins again.
-- name: StartChallenge :exec
UPDATE challenges SET data = $4, destination = $5, candidates = $6, known_device = $7
WHERE subject = $1 AND case_id = $2 AND id = $3;

-- name: ConsumeChallenges :exec
UPDATE challenges SET consumed_at = $3 WHERE subject = $1 AND case_id = $2 AND consumed_at = 0;

-- name: GetChallenge :one
SELECT * FROM challenges WHERE subject = $1 AND case_id = $2 AND id = $3;

-- name: LiveChallenges :many
SELECT * FROM challenges WHERE subject = $1 AND case_id = $2 AND consumed_at = 0 ORDER BY id;

-- name: InsertEvidence :exec
INSERT INTO evidence (subject, case_id, id, challenge_id, channel, factor, contact, candidates, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: ListEvidence :many
SELECT * FROM evidence WHERE subject = $1 AND case_id = $2 ORDER BY id;

-- name: TellUnknown :execrows
INSERT INTO unknown_told (subject, at) VALUES (sqlc.arg(subject), sqlc.arg(now))
ON CONFLICT (subject) DO UPDATE SET at = excluded.at WHERE unknown_told.at <= sqlc.arg(before);
