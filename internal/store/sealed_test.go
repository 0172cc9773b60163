package store_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

// madeByNoKey says why a column of bytes, or one called idx, hash or token, need
// not be made anew after a rotation.
var madeByNoKey = map[string]string{
	"cases.chain_head":         "a hash of the record, which no key makes",
	"accounts.chain_head":      "a hash of the record, which no key makes",
	"audit_entries.nonce":      "random",
	"audit_entries.commitment": "a hash of nonce and payload, which must never change",
	"audit_entries.prev":       "a hash of the record, which must never change",
	"audit_entries.hash":       "a hash of the record, which must never change",
	"log_hashes.idx":           "a number",
	"log_hashes.hash":          "a hash of the record, which must never change",
	"policies.source":          "a policy's text, which everybody may read",
}

// keyed columns are named after what they hold.
var keyedNames = []string{"idx", "hash", "token", "mac"}

// columns lists the columns with their types; the types of SQLite are as declared.
var columns = map[store.Engine]string{
	store.SQLite: `SELECT m.name || '.' || c.name, lower(c.type) FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name <> 'goose_db_version'`,
	store.PostgreSQL: `SELECT table_name || '.' || column_name, data_type FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name <> 'goose_db_version'`,
}

// A new column of sealed values or keyed hashes that nobody lists would keep an
// old key alive for ever, or lose its values when the key is retired.
func TestEveryColumnThatAKeyMadeIsListed(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		listed := map[string]bool{}
		for _, c := range slices.Concat(store.Sealed, store.Indexed) {
			listed[c.Name()] = true
		}
		for _, c := range store.Hashed {
			listed[c.Table+"."+c.Column] = true
		}
		there := map[string]bool{}
		for _, row := range rows(t, fixture.Raw(t, dsnOf(t, engine)), columns[engine]) {
			name, kind := row[0], row[1]
			there[name] = true
			_, column, _ := strings.Cut(name, ".")
			if kind != "bytea" && !slices.Contains(keyedNames, column) {
				continue
			}
			_, exempt := madeByNoKey[name]
			switch {
			case listed[name] && exempt:
				t.Errorf("%s is listed and exempt", name)
			case !listed[name] && !exempt:
				t.Errorf("%s: list it in store.Sealed, store.Indexed or store.Hashed, so that a rotation makes it anew, or say here why no key made it", name)
			}
		}
		for name := range listed {
			if !there[name] {
				t.Errorf("%s is listed and not in the schema", name)
			}
		}
		for name := range madeByNoKey {
			if !there[name] {
				t.Errorf("%s is exempt and not in the schema", name)
			}
		}
	})
}

// The lists must name the whole primary key: a walk that skips rows would leave them.
func TestTheListsNameWholeKeys(t *testing.T) {
	raw := fixture.Raw(t, dsnOf(t, store.SQLite))
	for _, c := range slices.Concat(store.Sealed, store.Indexed) {
		var want []string
		for _, row := range rows(t, raw, "SELECT name, type FROM pragma_table_info('"+c.Table+"') WHERE pk > 0 ORDER BY pk") {
			want = append(want, row[0])
		}
		if !slices.Equal(c.Key, want) {
			t.Errorf("%s: the key is %v, the list says %v", c.Name(), want, c.Key)
		}
	}
}

func TestAValueIsReplacedOnlyWhileItIsWhatWasRead(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		dsn := dsnOf(t, engine)
		d, raw := fixture.Open(t, dsn), fixture.Raw(t, dsn)
		column := store.Sealed[slices.IndexFunc(store.Sealed, func(c store.SealedColumn) bool { return c.Name() == "jobs.payload" })]
		if _, err := raw.ExecContext(t.Context(), `INSERT INTO jobs (key, id, kind, due_at, payload, attempt, lease_until, dead_at, last_error)
			VALUES ('k', 'a', 'x', 1, $1, 0, 0, 0, ''), ('k', 'b', 'x', 1, $1, 0, 0, 0, '')`, []byte("realm\nold")); err != nil {
			t.Fatal(err)
		}
		read, err := d.SealedAfter(t.Context(), column, nil, 10)
		if err != nil || len(read) != 2 || read[0].Realm != "realm" || read[0].Owner != "k/a" || string(read[0].Value) != "old" {
			t.Fatalf("read %+v, %v", read, err)
		}
		if rest, err := d.SealedAfter(t.Context(), column, read[0].Key, 10); err != nil || len(rest) != 1 || rest[0].Owner != "k/b" {
			t.Fatalf("after the first: %+v, %v", rest, err)
		}
		if _, err := raw.ExecContext(t.Context(), "UPDATE jobs SET payload = $1 WHERE id = 'b'", []byte("realm\nnewer")); err != nil {
			t.Fatal(err)
		}
		if err := d.Write(t.Context(), func(tx *store.Tx) error {
			for i, want := range []bool{true, false} {
				if changed, err := tx.Reseal(t.Context(), column, read[i], []byte("new")); err != nil || changed != want {
					t.Errorf("row %d: %v, %v", i, changed, err)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]string{"a": "realm\nnew", "b": "realm\nnewer"} {
			var got []byte
			if err := raw.QueryRowContext(t.Context(), "SELECT payload FROM jobs WHERE id = $1", id).Scan(&got); err != nil || string(got) != want {
				t.Errorf("row %s holds %q, %v", id, got, err)
			}
		}
		if counted, err := d.CountPrefixes(t.Context(), column); err != nil || counted["new"] != 1 || counted["newer"] != 1 {
			t.Errorf("counted %v, %v", counted, err)
		}
	})
}
