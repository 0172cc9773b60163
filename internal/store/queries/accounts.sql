-- name: InsertAccount :exec
INSERT INTO accounts (account_id, realm, host_id, version, locale, created_at, last_sign_in_at, warned_at,
  epoch, event_seq, chain_seq, chain_head)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: GetAccount :one
SELECT * FROM accounts WHERE account_id = $1;

-- Guarded as UpdateCase is.
-- name: UpdateAccount :exec
UPDATE accounts SET version = CASE WHEN version = sqlc.arg(was) THEN version + 1 END, locale = $2, last_sign_in_at = $3, warned_at = $4,
  epoch = $5, event_seq = $6, chain_seq = $7, chain_head = $8
WHERE account_id = $1;

-- Those with something to do: not locked for it yet, and to be locked now or not warned yet.
-- name: DormantAccounts :many
SELECT account_id FROM accounts
WHERE realm = sqlc.arg(realm) AND last_sign_in_at <= sqlc.arg(warn_before)
  AND (warned_at = 0 OR last_sign_in_at <= sqlc.arg(lock_before))
  AND NOT EXISTS (SELECT 1 FROM account_locks l WHERE l.account_id = accounts.account_id AND l.reason = 'dormant'
    AND (l.until = 0 OR l.until > sqlc.arg(now)))
LIMIT sqlc.arg(most);

-- name: AccountsAfter :many
SELECT account_id FROM accounts WHERE realm = $1 AND account_id > $2 ORDER BY account_id LIMIT $3;

-- name: InsertHostID :exec
INSERT INTO host_ids (idx, account_id) VALUES ($1, $2);

-- name: DeleteHostID :exec
DELETE FROM host_ids WHERE idx = $1;

-- name: AccountByHostID :one
SELECT account_id FROM host_ids WHERE idx = $1;

-- name: AccountByAnyHostID :one
SELECT account_id FROM host_ids WHERE idx IN ($1, $2, $3, $4) LIMIT 1;

-- name: InsertIdentifier :exec
INSERT INTO identifiers (idx, account_id) VALUES ($1, $2) ON CONFLICT (idx, account_id) DO NOTHING;

-- name: DeleteIdentifier :exec
DELETE FROM identifiers WHERE idx = $1 AND account_id = $2;

-- name: FindAccounts :many
SELECT account_id FROM identifiers WHERE idx = $1 ORDER BY account_id LIMIT 9;

-- name: FindAccountsByAny :many
SELECT DISTINCT account_id FROM identifiers WHERE idx IN ($1, $2, $3, $4) ORDER BY account_id LIMIT 9;

-- name: InsertAccountIdentifier :exec
INSERT INTO account_identifiers (account_id, kind, idx, value) VALUES ($1, $2, $3, $4) ON CONFLICT (account_id, kind, idx) DO NOTHING;

-- name: DeleteAccountIdentifier :exec
DELETE FROM account_identifiers WHERE account_id = $1 AND kind = $2 AND idx = $3;

-- name: ListAccountIdentifiers :many
SELECT * FROM account_identifiers WHERE account_id = $1 ORDER BY kind, idx;

-- name: InsertContact :exec
INSERT INTO account_contacts (account_id, id, kind, position, idx, value, added_at, changed_at, removed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0);

-- name: DeleteContact :exec
DELETE FROM account_contacts WHERE account_id = $1 AND id = $2;

-- name: ReindexContact :exec
UPDATE account_contacts SET idx = $3 WHERE account_id = $1 AND id = $2;

-- name: RetireContact :exec
UPDATE account_contacts SET removed_at = $3 WHERE account_id = $1 AND id = $2;

-- Former contacts too: whoever asks for some of them filters.
-- name: ListContacts :many
SELECT * FROM account_contacts WHERE account_id = $1 ORDER BY removed_at, position, id;

-- name: PurgeContacts :execrows
DELETE FROM account_contacts WHERE removed_at > 0 AND removed_at <= $1;

-- name: PutFact :exec
INSERT INTO account_facts (account_id, kind, value) VALUES ($1, $2, $3)
ON CONFLICT (account_id, kind) DO UPDATE SET value = excluded.value;

-- name: ListFacts :many
SELECT * FROM account_facts WHERE account_id = $1 ORDER BY kind;

-- name: PutSecret :exec
INSERT INTO account_secrets (account_id, kind, hash, set_at, must_change, imported) VALUES ($1, $2, $3, $4, $5, '')
ON CONFLICT (account_id, kind) DO UPDATE SET hash = excluded.hash, set_at = excluded.set_at, must_change = excluded.must_change;

-- name: ImportSecret :execrows
INSERT INTO account_secrets (account_id, kind, hash, set_at, must_change, imported) VALUES ($1, $2, $3, $4, 0, $5)
ON CONFLICT (account_id, kind) DO UPDATE SET hash = excluded.hash, set_at = excluded.set_at, must_change = 0, imported = excluded.imported
WHERE account_secrets.imported <> excluded.imported;

-- name: UpgradeSecret :execrows
UPDATE account_secrets SET hash = sqlc.arg(better) WHERE account_id = sqlc.arg(account_id) AND kind = sqlc.arg(kind) AND hash = sqlc.arg(old);

-- name: GetSecret :one
SELECT * FROM account_secrets WHERE account_id = $1 AND kind = $2;

-- name: PutLock :exec
INSERT INTO account_locks (account_id, reason, at, until) VALUES ($1, $2, $3, $4)
ON CONFLICT (account_id, reason) DO UPDATE SET at = excluded.at, until = excluded.until;

-- name: DeleteLock :execrows
DELETE FROM account_locks WHERE account_id = $1 AND reason = $2;

-- The lockout of sign-in is a lock as well.
-- name: ListLocks :many
SELECT reason, at, until FROM account_locks WHERE account_locks.account_id = sqlc.arg(account_id)
UNION ALL
SELECT 'too-many-failures', first_failure, until FROM lockouts WHERE lockouts.key = sqlc.arg(lockout) AND lockouts.until > 0;

-- name: PutDevice :exec
INSERT INTO account_devices (account_id, device, case_id, trusted_from, revoked_at) VALUES ($1, $2, $3, $4, 0)
ON CONFLICT (account_id, device) DO UPDATE SET case_id = excluded.case_id, trusted_from = excluded.trusted_from, revoked_at = 0;

-- name: GetDevice :one
SELECT * FROM account_devices WHERE account_id = $1 AND device = $2;

-- name: RevokeDevices :exec
UPDATE account_devices SET revoked_at = $2 WHERE account_id = $1 AND revoked_at = 0;

-- name: InsertBackupCode :exec
INSERT INTO backup_codes (account_id, hash, created_at, consumed_at) VALUES ($1, $2, $3, 0);

-- name: ListBackupCodes :many
SELECT hash FROM backup_codes WHERE account_id = $1 AND consumed_at = 0 ORDER BY hash;

-- name: ConsumeBackupCode :execrows
UPDATE backup_codes SET consumed_at = $3 WHERE account_id = $1 AND hash = $2 AND consumed_at = 0;

-- name: DeleteBackupCodes :exec
DELETE FROM backup_codes WHERE account_id = $1;

-- name: BindAccountCase :exec
INSERT INTO account_cases (account_id, case_id, subject, bound_at, ended_at, end_state) VALUES ($1, $2, $3, $4, 0, '')
ON CONFLICT (account_id, case_id) DO NOTHING;

-- name: EndAccountCase :exec
UPDATE account_cases SET ended_at = $3, end_state = $4 WHERE account_id = $1 AND case_id = $2;

-- name: ListAccountCases :many
SELECT * FROM account_cases WHERE account_id = $1 ORDER BY case_id;

-- name: InsertSignIn :exec
INSERT INTO sign_ins (account_id, id, at, data) VALUES ($1, $2, $3, $4) ON CONFLICT (account_id, id) DO NOTHING;

-- The no-op write takes the row's lock before it is read.
-- name: TakeLockout :one
INSERT INTO lockouts (key, account_id, failures, first_failure, level, until) VALUES ($1, $2, 0, 0, 0, 0)
ON CONFLICT (key) DO UPDATE SET failures = lockouts.failures
RETURNING failures, first_failure, level, until;

-- name: PutLockout :exec
UPDATE lockouts SET failures = $2, first_failure = $3, level = $4, until = $5 WHERE key = $1;

-- name: GetLockout :one
SELECT failures, first_failure, level, until FROM lockouts WHERE key = $1;

-- name: ClearLockouts :execrows
UPDATE lockouts SET failures = 0, first_failure = 0, level = 0, until = 0 WHERE account_id = $1 AND (failures > 0 OR until > 0);
