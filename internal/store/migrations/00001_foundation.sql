-- The first schema. One text for SQLite and PostgreSQL: BIGINT milliseconds
-- since 1970 UTC (0 for never), TEXT, BYTEA; no serials, triggers or functions.
-- Keys: a claimant-side table starts with subject, an account-owned one with
-- account_id, so that either can be sharded by its first column.

-- +goose Up

CREATE TABLE cases (
  subject       TEXT   NOT NULL,
  id            TEXT   NOT NULL,
  ref           TEXT   NOT NULL,
  realm         TEXT   NOT NULL,
  intent        TEXT   NOT NULL,
  state         TEXT   NOT NULL CHECK (state IN ('open', 'in_review', 'held', 'applying', 'completed', 'denied', 'cancelled', 'expired')),
  version       BIGINT NOT NULL,
  kind          TEXT   NOT NULL,          -- of the identifier that was typed
  identifier    BYTEA  NOT NULL,          -- sealed
  locale        TEXT   NOT NULL,
  policy_digest TEXT   NOT NULL,
  token_serial  BIGINT NOT NULL,          -- grows when the case moves to another browser
  device        TEXT   NOT NULL,          -- id in the opener's device cookie, '' for none
  network       TEXT   NOT NULL,          -- opener's network as a keyed hash
  account_id    TEXT   NOT NULL,          -- '' until the account is chosen
  account_epoch BIGINT NOT NULL,          -- the account's epoch when it was chosen; another one voids the case
  known_device  BIGINT NOT NULL,          -- 1 when the account trusts that device
  linked        TEXT   NOT NULL,          -- case this one answers (a disavowal), '' for none
  opened_at     BIGINT NOT NULL,
  touched_at    BIGINT NOT NULL,
  expires_at    BIGINT NOT NULL,
  hold_began    BIGINT NOT NULL,
  hold_until    BIGINT NOT NULL,
  closed_at     BIGINT NOT NULL,
  outcome       BYTEA,                    -- sealed pending secret, shredded when the case closes
  chain_seq     BIGINT NOT NULL,
  chain_head    BYTEA  NOT NULL,
  PRIMARY KEY (subject, id)
);
CREATE INDEX cases_due ON cases (expires_at) WHERE state IN ('open', 'held');

CREATE TABLE case_refs (
  ref     TEXT NOT NULL PRIMARY KEY,
  subject TEXT NOT NULL,
  case_id TEXT NOT NULL
);

CREATE TABLE challenges (
  subject      TEXT   NOT NULL,
  case_id      TEXT   NOT NULL,
  id           TEXT   NOT NULL,
  channel      TEXT   NOT NULL,
  way          TEXT   NOT NULL,
  data         BYTEA,                     -- sealed, the channel's own; NULL until started
  destination  TEXT   NOT NULL,           -- counting key of what it reaches or asks about, a stand-in where there is none
  candidates   BYTEA,                     -- sealed account IDs that the proof may be about
  known_device BIGINT NOT NULL,
  created_at   BIGINT NOT NULL,
  expires_at   BIGINT NOT NULL,
  resend_at    BIGINT NOT NULL,
  consumed_at  BIGINT NOT NULL,           -- passed or replaced; 0 while live
  PRIMARY KEY (subject, case_id, id)
);

-- When an address without an account was last told so.
CREATE TABLE unknown_told (
  subject TEXT   NOT NULL PRIMARY KEY,
  at      BIGINT NOT NULL
);

CREATE TABLE evidence (
  subject      TEXT   NOT NULL,
  case_id      TEXT   NOT NULL,
  id           TEXT   NOT NULL,
  challenge_id TEXT   NOT NULL,
  channel      TEXT   NOT NULL,
  factor       TEXT   NOT NULL,
  contact      TEXT   NOT NULL,           -- kind of contact proven, '' for none
  candidates   BYTEA,                     -- sealed account IDs that it is about
  at           BIGINT NOT NULL,
  PRIMARY KEY (subject, case_id, id)
);

CREATE TABLE accounts (
  account_id      TEXT   NOT NULL PRIMARY KEY,
  realm           TEXT   NOT NULL,
  host_id         BYTEA  NOT NULL,        -- sealed
  version         BIGINT NOT NULL,
  locale          TEXT   NOT NULL,
  created_at      BIGINT NOT NULL,
  last_sign_in_at BIGINT NOT NULL,        -- or the last completed recovery; dormancy counts from it
  warned_at       BIGINT NOT NULL,        -- dormancy warning sent
  epoch           BIGINT NOT NULL,        -- grows with every completed recovery: older codes, links and cases are void
  event_seq       BIGINT NOT NULL,        -- number of the last event told to the host
  chain_seq       BIGINT NOT NULL,
  chain_head      BYTEA  NOT NULL
);
CREATE INDEX accounts_listed ON accounts (realm, account_id);
CREATE INDEX accounts_dormant ON accounts (realm, last_sign_in_at);

-- Which account has the host's own ID. Keyed by blind index; one account an ID.
CREATE TABLE host_ids (
  idx        TEXT NOT NULL PRIMARY KEY,
  account_id TEXT NOT NULL
);

-- Look-up, step one: which accounts answer to a name. Keyed by blind index.
CREATE TABLE identifiers (
  idx        TEXT NOT NULL,
  account_id TEXT NOT NULL,
  PRIMARY KEY (idx, account_id)
);

CREATE TABLE account_identifiers (
  account_id TEXT  NOT NULL,
  kind       TEXT  NOT NULL,
  idx        TEXT  NOT NULL,
  value      BYTEA NOT NULL,              -- sealed
  PRIMARY KEY (account_id, kind, idx)
);

CREATE TABLE account_contacts (
  account_id TEXT   NOT NULL,
  id         TEXT   NOT NULL,
  kind       TEXT   NOT NULL,
  position   BIGINT NOT NULL,             -- within its kind; 0 is where codes go
  idx        TEXT   NOT NULL,
  value      BYTEA  NOT NULL,             -- sealed
  added_at   BIGINT NOT NULL,
  changed_at BIGINT NOT NULL,             -- 0: unchanged since the account came here
  removed_at BIGINT NOT NULL,             -- 0 while on file; a former contact is still told of recoveries
  PRIMARY KEY (account_id, id)
);

CREATE INDEX contacts_removed ON account_contacts (removed_at) WHERE removed_at > 0;

CREATE TABLE account_facts (
  account_id TEXT  NOT NULL,
  kind       TEXT  NOT NULL,              -- real-name, resident-id
  value      BYTEA NOT NULL,              -- sealed
  PRIMARY KEY (account_id, kind)
);

CREATE TABLE account_secrets (
  account_id  TEXT   NOT NULL,
  kind        TEXT   NOT NULL,            -- password
  hash        TEXT   NOT NULL,
  set_at      BIGINT NOT NULL,
  must_change BIGINT NOT NULL,
  imported    TEXT   NOT NULL,            -- keyed hash of what the host gave last, '' for none: the same again changes nothing
  PRIMARY KEY (account_id, kind)
);

CREATE TABLE account_locks (
  account_id TEXT   NOT NULL,
  reason     TEXT   NOT NULL CHECK (reason IN ('dormant', 'risk-alarm', 'violation', 'disavowed')),
  at         BIGINT NOT NULL,
  until      BIGINT NOT NULL,             -- 0: until somebody clears it
  PRIMARY KEY (account_id, reason)
);

-- The lock reason too-many-failures. key is a keyed hash of the account, of one
-- of its known devices, or of an identifier that no account has.
CREATE TABLE lockouts (
  key           TEXT   NOT NULL PRIMARY KEY,
  account_id    TEXT   NOT NULL,          -- whose lockouts an unlock clears, '' where no account has the name
  failures      BIGINT NOT NULL,
  first_failure BIGINT NOT NULL,
  level         BIGINT NOT NULL,
  until         BIGINT NOT NULL
);
CREATE INDEX lockouts_account ON lockouts (account_id);

CREATE TABLE account_devices (
  account_id   TEXT   NOT NULL,
  device       TEXT   NOT NULL,
  case_id      TEXT   NOT NULL,           -- the recovery that earned it
  trusted_from BIGINT NOT NULL,
  revoked_at   BIGINT NOT NULL,
  PRIMARY KEY (account_id, device)
);

CREATE TABLE backup_codes (
  account_id  TEXT   NOT NULL,
  hash        TEXT   NOT NULL,
  created_at  BIGINT NOT NULL,
  consumed_at BIGINT NOT NULL,
  PRIMARY KEY (account_id, hash)
);

CREATE TABLE account_cases (
  account_id TEXT   NOT NULL,
  case_id    TEXT   NOT NULL,
  subject    TEXT   NOT NULL,
  bound_at   BIGINT NOT NULL,
  ended_at   BIGINT NOT NULL,
  end_state  TEXT   NOT NULL,
  PRIMARY KEY (account_id, case_id)
);

CREATE TABLE sign_ins (
  account_id TEXT   NOT NULL,
  id         TEXT   NOT NULL,
  at         BIGINT NOT NULL,
  data       BYTEA  NOT NULL,             -- sealed: device, network, place
  PRIMARY KEY (account_id, id)
);

-- Counts are taken before anything is compared. Three fixed windows a row.
CREATE TABLE counters (
  key          TEXT   NOT NULL PRIMARY KEY,
  minute_start BIGINT NOT NULL,
  minute_n     BIGINT NOT NULL,
  hour_start   BIGINT NOT NULL,
  hour_n       BIGINT NOT NULL,
  day_start    BIGINT NOT NULL,
  day_n        BIGINT NOT NULL
);
CREATE INDEX counters_day ON counters (day_start);

CREATE TABLE jobs (
  key         TEXT   NOT NULL,            -- shard key: a subject or an account
  id          TEXT   NOT NULL,
  kind        TEXT   NOT NULL,
  due_at      BIGINT NOT NULL,
  payload     BYTEA  NOT NULL,            -- sealed
  attempt     BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  dead_at     BIGINT NOT NULL,            -- dead letter; 0 while alive
  last_error  TEXT   NOT NULL,            -- a message key, never an answer
  PRIMARY KEY (key, id)
);
CREATE INDEX jobs_due ON jobs (due_at) WHERE dead_at = 0;

-- owner is the shard key: the subject of a case's chain, the account of an account's.
CREATE TABLE audit_entries (
  owner      TEXT   NOT NULL,
  chain      TEXT   NOT NULL,
  seq        BIGINT NOT NULL,
  at         BIGINT NOT NULL,
  event      TEXT   NOT NULL,
  from_state TEXT   NOT NULL,
  to_state   TEXT   NOT NULL,
  payload    BYTEA,                       -- sealed; NULL once erased
  nonce      BYTEA,                       -- NULL once erased
  commitment BYTEA  NOT NULL,
  prev       BYTEA  NOT NULL,
  hash       BYTEA  NOT NULL,
  leaf       BIGINT,                      -- place in the Merkle log, NULL until sequenced
  PRIMARY KEY (owner, chain, seq),
  -- The lifecycle table again: a move that recovery.Lifecycle does not have
  -- cannot be recorded. A test compares the two.
  CHECK (
    (from_state || ' ' || event || ' ' || to_state) IN (
      ' case.opened open',
      'open evidence.enough held',
      'open person.needed in_review',
      'in_review review.more open',
      'in_review review.approved held',
      'in_review review.rejected denied',
      'held evidence.stronger held',
      'held risk.raised held',
      'held risk.review in_review',
      'held outcome.taken applying',
      'applying host.confirmed completed',
      'applying host.refused held',
      'applying host.silent in_review',
      'open case.cancelled cancelled',
      'in_review case.cancelled cancelled',
      'held case.cancelled cancelled',
      'open case.expired expired',
      'held case.expired expired'
    )
    OR (from_state = to_state AND event NOT IN ('case.opened', 'case.cancelled', 'case.expired', 'evidence.enough', 'evidence.stronger', 'host.confirmed', 'host.refused', 'host.silent', 'outcome.taken', 'person.needed', 'review.approved', 'review.more', 'review.rejected', 'risk.raised', 'risk.review'))
  )
);
CREATE INDEX audit_unsequenced ON audit_entries (at) WHERE leaf IS NULL;

CREATE TABLE log_leaves (
  leaf  BIGINT NOT NULL PRIMARY KEY,
  owner TEXT   NOT NULL,
  chain TEXT   NOT NULL,
  seq   BIGINT NOT NULL
);

CREATE TABLE log_hashes (
  idx  BIGINT NOT NULL PRIMARY KEY,       -- tlog stored hash index
  hash BYTEA  NOT NULL
);

CREATE TABLE log_head (
  id         BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
  size       BIGINT NOT NULL,
  checkpoint TEXT   NOT NULL,
  high_water BIGINT NOT NULL              -- the latest time of an entry in the log: now is never before it
);

CREATE TABLE idempotency (
  scope       TEXT   NOT NULL,            -- keyed hash of the caller's own secret
  key         TEXT   NOT NULL,
  fingerprint TEXT   NOT NULL,            -- keyed hash of the request
  reply       BYTEA  NOT NULL,            -- sealed
  created_at  BIGINT NOT NULL,
  PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE policies (
  digest    TEXT   NOT NULL PRIMARY KEY,
  realm     TEXT   NOT NULL,
  name      TEXT   NOT NULL,
  source    BYTEA  NOT NULL,
  loaded_at BIGINT NOT NULL
);

CREATE TABLE api_keys (
  id         TEXT   NOT NULL PRIMARY KEY,
  realm      TEXT   NOT NULL,
  name       TEXT   NOT NULL,
  hash       TEXT   NOT NULL,
  scopes     TEXT   NOT NULL,             -- space-separated
  created_at BIGINT NOT NULL,
  revoked_at BIGINT NOT NULL
);

-- What programs this schema still serves: those whose newest migration has at least
-- the highest number here. A migration that takes away what an older program uses
-- inserts the number of the first one that did without (docs/decisions/012-rolling-upgrades.md).
CREATE TABLE schema_needs (
  version BIGINT NOT NULL PRIMARY KEY
);

INSERT INTO schema_needs (version) VALUES (1);
INSERT INTO log_head (id, size, checkpoint, high_water) VALUES (1, 0, '', 0);

-- +goose Down
DROP TABLE schema_needs;
DROP TABLE api_keys;
DROP TABLE policies;
DROP TABLE idempotency;
DROP TABLE log_head;
DROP TABLE log_hashes;
DROP TABLE log_leaves;
DROP TABLE audit_entries;
DROP TABLE jobs;
DROP TABLE counters;
DROP TABLE sign_ins;
DROP TABLE account_cases;
DROP TABLE backup_codes;
DROP TABLE account_devices;
DROP TABLE lockouts;
DROP TABLE account_locks;
DROP TABLE account_secrets;
DROP TABLE account_facts;
DROP TABLE account_contacts;
DROP TABLE account_identifiers;
DROP TABLE identifiers;
DROP TABLE host_ids;
DROP TABLE accounts;
DROP TABLE evidence;
DROP TABLE unknown_told;
DROP TABLE challenges;
DROP TABLE case_refs;
DROP TABLE cases;
