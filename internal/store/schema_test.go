package store_test

import (
	"database/sql"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

// keyedBy says what every key of a table starts with (data rule 8). A table that
// is not here fails the test: say whose it is first.
var keyedBy = map[string]string{
	// the claimant's side
	"cases": "subject", "challenges": "subject", "evidence": "subject", "unknown_told": "subject",
	// an account's
	"accounts": "account_id", "account_identifiers": "account_id", "account_contacts": "account_id", "account_facts": "account_id",
	"account_secrets": "account_id", "account_locks": "account_id", "account_devices": "account_id", "account_cases": "account_id",
	"backup_codes": "account_id", "sign_ins": "account_id",
	// look-ups in two steps: a keyed hash or a short number, then the shard
	"identifiers": "idx", "host_ids": "idx", "case_refs": "ref",
	// a keyed hash that is a shard key of its own
	"lockouts": "key", "counters": "key", "jobs": "key", "idempotency": "scope",
	// the shard key of the chain that an entry is on
	"audit_entries": "owner",
	// one for the installation
	"log_leaves": "leaf", "log_hashes": "idx", "log_head": "id", "policies": "digest", "api_keys": "id",
	"schema_needs": "version",
}

// gooses are the migrator's own.
const gooses = "goose_db_version"

func TestEveryKeyStartsWithItsShard(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		raw := fixture.Raw(t, dsnOf(t, engine))
		keys := map[string][]string{} // by table, the first column of each unique key
		for _, row := range rows(t, raw, firstColumns[engine]) {
			keys[row[0]] = append(keys[row[0]], row[1])
		}
		delete(keys, gooses)
		for table, columns := range keys {
			want, ok := keyedBy[table]
			if !ok {
				t.Errorf("table %s: nobody says whose it is", table)
			}
			for _, column := range columns {
				if ok && column != want {
					t.Errorf("table %s has a key that starts with %s, not %s: it cannot be sharded", table, column, want)
				}
			}
		}
		for table := range keyedBy {
			if len(keys[table]) == 0 {
				t.Errorf("table %s has no primary key", table)
			}
		}
	})
}

// firstColumns lists tables with the first column of each unique index.
var firstColumns = map[store.Engine]string{
	store.SQLite: `SELECT m.name, i.name FROM sqlite_master m, pragma_index_list(m.name) l, pragma_index_info(l.name) i
		WHERE m.type = 'table' AND l."unique" = 1 AND i.seqno = 0
		UNION SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.pk = 1`,
	store.PostgreSQL: `SELECT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
		WHERE n.nspname = 'public' AND i.indisunique`,
}

func TestNoSerialsTriggersFunctionsOrForeignKeysAcrossShards(t *testing.T) {
	for engine, queries := range map[store.Engine]map[string]string{
		store.SQLite: {
			"trigger":   `SELECT name, sql FROM sqlite_master WHERE type = 'trigger'`,
			"serial":    `SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name <> 'goose_db_version' AND (sql LIKE '%AUTOINCREMENT%' OR sql LIKE '%INTEGER PRIMARY KEY%') AND name <> 'sqlite_sequence'`,
			"reference": `SELECT m.name, f."table" FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'`,
			"default":   `SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name <> 'goose_db_version' AND c.dflt_value IS NOT NULL`,
		},
		store.PostgreSQL: {
			"trigger":   `SELECT event_object_table, trigger_name FROM information_schema.triggers`,
			"function":  `SELECT routine_name, routine_type FROM information_schema.routines WHERE routine_schema = 'public'`,
			"serial":    `SELECT sequence_name, data_type FROM information_schema.sequences WHERE sequence_name NOT LIKE 'goose_db_version%'`,
			"reference": `SELECT table_name, constraint_name FROM information_schema.table_constraints WHERE constraint_type = 'FOREIGN KEY'`,
			"default":   `SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'goose_db_version' AND (column_default IS NOT NULL OR is_identity = 'YES')`,
		},
	} {
		t.Run(string(engine), func(t *testing.T) {
			raw := fixture.Raw(t, dsnOf(t, engine))
			for what, query := range queries {
				for _, row := range rows(t, raw, query) {
					t.Errorf("a %s: %v", what, row)
				}
			}
		})
	}
}

func rows(t testing.TB, raw *sql.DB, query string) (out [][2]string) {
	t.Helper()
	found, err := raw.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var row [2]string
		if err := found.Scan(&row[0], &row[1]); err != nil {
			t.Fatal(err)
		}
		out = append(out, row)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// opened is the entry that begins a case; it moves nothing and so is not in the table.
const opened = " case.opened open"

// checked reads the two lists of the CHECK on audit_entries.
func checked(t testing.TB) (moves, events []string) {
	t.Helper()
	text, err := os.ReadFile("migrations/00001_foundation.sql")
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`(?s)CREATE TABLE audit_entries \(.*?\n\);`).Find(text)
	lists := regexp.MustCompile(`(?s)\bIN \(([^)]*)\)`).FindAllSubmatch(table, -1)
	if len(lists) != 2 {
		t.Fatalf("the CHECK has %d lists", len(lists))
	}
	quoted := regexp.MustCompile(`'([^']*)'`)
	for i, into := range []*[]string{&moves, &events} {
		for _, m := range quoted.FindAllSubmatch(lists[i][1], -1) {
			*into = append(*into, string(m[1]))
		}
		slices.Sort(*into)
	}
	return moves, events
}

func TestTheCheckIsTheLifecycleTable(t *testing.T) {
	moves, events := checked(t)
	wantMoves := []string{opened}
	wantEvents := map[string]bool{"case.opened": true}
	for _, m := range recovery.Lifecycle {
		wantMoves = append(wantMoves, fmt.Sprintf("%s %s %s", m.From, m.Event, m.To))
		wantEvents[string(m.Event)] = true
	}
	slices.Sort(wantMoves)
	if !slices.Equal(moves, wantMoves) {
		t.Errorf("the CHECK allows\n%s\nthe table has\n%s", strings.Join(moves, "\n"), strings.Join(wantMoves, "\n"))
	}
	if want := slices.Sorted(maps.Keys(wantEvents)); !slices.Equal(events, want) {
		t.Errorf("the CHECK keeps %v for moves, the table %v", events, want)
	}
}

func TestAnImpossibleMoveCannotBeRecorded(t *testing.T) {
	allowed := map[string]bool{opened: true}
	events := []string{"case.opened", "notice.sent"}
	for _, m := range recovery.Lifecycle {
		allowed[fmt.Sprintf("%s %s %s", m.From, m.Event, m.To)] = true
		if !slices.Contains(events, string(m.Event)) {
			events = append(events, string(m.Event))
		}
	}
	states := []string{""}
	for _, s := range recovery.States {
		states = append(states, string(s))
	}
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		raw := fixture.Raw(t, dsnOf(t, engine))
		if engine == store.SQLite {
			raw.SetMaxOpenConns(1)
			if _, err := raw.ExecContext(t.Context(), "PRAGMA synchronous=OFF"); err != nil {
				t.Fatal(err)
			}
		}
		seq := 0
		for _, from := range states {
			for _, event := range events {
				for _, to := range states {
					seq++
					_, err := raw.ExecContext(t.Context(), `INSERT INTO audit_entries (owner, chain, seq, at, event, from_state, to_state, commitment, prev, hash)
						VALUES ('o', 'c', $1, 1, $2, $3, $4, $5, $5, $5)`, seq, event, from, to, []byte{1})
					want := allowed[from+" "+event+" "+to] || (event == "notice.sent" && from == to)
					if (err == nil) != want {
						t.Errorf("%q %s %q: recorded = %v (%v)", from, event, to, err == nil, err)
					}
				}
			}
		}
	})
}
