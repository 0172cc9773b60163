package audit_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

// watched are the tables that the record consists of, with their keys, and the
// columns that Verify vouches for; nil for all.
var watched = map[string]struct{ key, columns []string }{
	"audit_entries": {key: []string{"owner", "chain", "seq"}},
	"log_leaves":    {key: []string{"leaf"}},
	"log_hashes":    {key: []string{"idx"}},
	"log_head":      {key: []string{"id"}},
	"cases":         {key: []string{"subject", "id"}, columns: []string{"subject", "id", "realm", "state", "chain_seq", "chain_head"}},
	"accounts":      {key: []string{"account_id"}, columns: []string{"account_id", "realm", "chain_seq", "chain_head"}},
}

// intruder changes rows beside the program and puts them back.
type intruder struct {
	t   *testing.T
	raw *sql.DB
}

// read gives every row of a table by column.
func (i intruder) read(table string) (out []map[string]any) {
	i.t.Helper()
	rows, err := i.raw.QueryContext(i.t.Context(), "SELECT * FROM "+table)
	if err != nil {
		i.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		i.t.Fatal(err)
	}
	for rows.Next() {
		values := make([]any, len(names))
		into := make([]any, len(names))
		for n := range values {
			into[n] = &values[n]
		}
		if err := rows.Scan(into...); err != nil {
			i.t.Fatal(err)
		}
		row := map[string]any{}
		for n, name := range names {
			row[name] = values[n]
		}
		out = append(out, row)
	}
	if err := rows.Err(); err != nil {
		i.t.Fatal(err)
	}
	return out
}

// where gives the condition that finds a row by its key.
func where(key []string, row map[string]any, from int) (string, []any) {
	var parts []string
	var args []any
	for n, column := range key {
		parts = append(parts, fmt.Sprintf("%s = $%d", column, from+n))
		args = append(args, row[column])
	}
	return strings.Join(parts, " AND "), args
}

func (i intruder) update(table string, key []string, row map[string]any, column string, value any) error {
	condition, args := where(key, row, 2)
	result, err := i.raw.ExecContext(i.t.Context(), "UPDATE "+table+" SET "+column+" = $1 WHERE "+condition, append([]any{value}, args...)...)
	if err != nil {
		return err
	}
	if n, _ := result.RowsAffected(); n != 1 {
		return fmt.Errorf("%d rows", n)
	}
	return nil
}

func (i intruder) remove(table string, key []string, row map[string]any) {
	i.t.Helper()
	condition, args := where(key, row, 1)
	if _, err := i.raw.ExecContext(i.t.Context(), "DELETE FROM "+table+" WHERE "+condition, args...); err != nil {
		i.t.Fatal(err)
	}
}

func (i intruder) insert(table string, row map[string]any) {
	i.t.Helper()
	columns := slices.Sorted(maps.Keys(row))
	var marks []string
	var args []any
	for n, column := range columns {
		marks = append(marks, fmt.Sprintf("$%d", n+1))
		args = append(args, row[column])
	}
	query := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES (" + strings.Join(marks, ", ") + ")"
	if _, err := i.raw.ExecContext(i.t.Context(), query, args...); err != nil {
		i.t.Fatal(err)
	}
}

// others are values that a column could be given instead.
func others(column string, value any) []any {
	switch v := value.(type) {
	case int64:
		return []any{v + 1, v - 1, v + 1000, int64(0), nil}
	case string:
		return []any{v + "x", "", strings.ToUpper(v) + "-", nil}
	case []byte:
		flipped := slices.Clone(v)
		if len(flipped) > 0 {
			flipped[len(flipped)-1] ^= 1
		}
		return []any{flipped, append(slices.Clone(v), 0), []byte{}, make([]byte, len(v)), nil}
	case nil:
		if column == "leaf" {
			return []any{int64(0), int64(3), int64(999)}
		}
	}
	return nil
}

func TestEveryEditIsFound(t *testing.T) { // T26
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		history(t, k)
		i := intruder{t, fixture.Raw(t, k.DSN)}
		if report := verify(t, k.Log); len(report.Problems) > 0 || report.Pending == 0 || report.Leaves < 9 {
			t.Fatalf("before anything was touched: %+v", report)
		}
		tried, refused := 0, 0
		for table, w := range watched {
			rows := i.read(table)
			if len(rows) == 0 {
				t.Fatalf("%s is empty: the test would hold of nothing", table)
			}
			for _, row := range rows {
				for column, value := range row {
					if w.columns != nil && !slices.Contains(w.columns, column) {
						continue
					}
					for _, other := range others(column, value) {
						if fmt.Sprint(other) == fmt.Sprint(value) && (other == nil) == (value == nil) {
							continue
						}
						tried++
						if err := i.update(table, w.key, row, column, other); err != nil {
							refused++ // the database has a constraint against it
							continue
						}
						if report := verify(t, k.Log); len(report.Problems) == 0 {
							t.Errorf("%s.%s from %.40v to %.40v was not found", table, column, value, other)
						}
						changed := maps.Clone(row)
						changed[column] = other
						if err := i.update(table, w.key, changed, column, value); err != nil {
							t.Fatalf("putting %s.%s back: %v", table, column, err)
						}
					}
				}
			}
		}
		t.Logf("%d edits were tried, %d of them refused by a constraint", tried, refused)
		if refused*2 > tried {
			t.Errorf("of %d edits the database refused %d: what is left proves little", tried, refused)
		}
		if report := verify(t, k.Log); len(report.Problems) > 0 {
			t.Errorf("after everything was put back: %v", report.Problems)
		}
	})
}

func TestEveryDeletionIsFound(t *testing.T) { // T26
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		history(t, k)
		i := intruder{t, fixture.Raw(t, k.DSN)}
		for table, w := range watched {
			for _, row := range i.read(table) {
				i.remove(table, w.key, row)
				for _, page := range []int32{1, 3, 2000} { // where it is looked for, the row is at the border of a page or within one
					report, err := k.Log.VerifyPaged(context.Background(), page)
					if err == nil && len(report.Problems) == 0 {
						t.Errorf("a deleted row of %s was not found, by pages of %d: %.200v", table, page, row)
					}
				}
				i.insert(table, row)
			}
		}
		if report := verify(t, k.Log); len(report.Problems) > 0 {
			t.Errorf("after everything was put back: %v", report.Problems)
		}
	})
}

func TestInventedRowsAreFound(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		history(t, k)
		i := intruder{t, fixture.Raw(t, k.DSN)}
		for table, change := range map[string]map[string]any{
			"audit_entries": {"owner": "nobody", "chain": "nobody", "leaf": nil},
			"log_leaves":    {"leaf": int64(1000)},
			"log_hashes":    {"idx": int64(100000)},
			"accounts":      {"account_id": "invented"},
			"cases":         {"id": "invented"},
		} {
			row := i.read(table)[0]
			maps.Copy(row, change)
			i.insert(table, row)
			if report := verify(t, k.Log); len(report.Problems) == 0 {
				t.Errorf("an invented row of %s was not found", table)
			}
			i.remove(table, watched[table].key, row)
		}
		next := i.read("log_leaves")[0]
		next["leaf"] = int64(len(i.read("log_leaves")))
		i.insert("log_leaves", next)
		if report := verify(t, k.Log); len(report.Problems) == 0 {
			t.Error("a leaf beyond the checkpoint was not found")
		}
	})
}

// Erasing takes payload and nonce together, and nothing else.
func TestErasureLeavesTheRecordWhole(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		history(t, k)
		step(t, k.Log)
		id := accountOf(t, k, "a")
		if _, err := fixture.Raw(t, k.DSN).ExecContext(t.Context(),
			"UPDATE audit_entries SET payload = NULL, nonce = NULL WHERE owner = $1 AND seq = 1", string(id)); err != nil {
			t.Fatal(err)
		}
		if report := verify(t, k.Log); len(report.Problems) > 0 || report.Erased != 1 {
			t.Errorf("%+v", report)
		}
	})
}
