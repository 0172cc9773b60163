package store_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

// walks are the queries that may read a whole table or sort more than one account's or
// case's rows, and why each may.
var walks = map[string]string{
	"FindAccountsByAny": "the accounts of one identifier",
	"DeadJobs":          "for operators only",
	"ListAPIKeys":       "a realm has a handful",
	"ListContacts":      "sorts one account's contacts",
}

var generated = regexp.MustCompile("(?s)const \\w+ = `-- name: (\\w+) :\\w+\n(.*?)`")

// Every query finds its rows by an index, so that a million accounts cost it no more
// than a thousand. The plans are SQLite's, which follow from the schema alone.
func TestNoQueryReadsAWholeTable(t *testing.T) {
	raw := fixture.Raw(t, fixture.Database(t, store.SQLite))
	files, err := filepath.Glob("db/*.sql.go")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, query := range generated.FindAllStringSubmatch(string(text), -1) {
			name := query[1]
			seen[name] = true
			var args []any
			for range strings.Count(query[2], "$") {
				args = append(args, 1)
			}
			rows, err := raw.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query[2], args...)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var plan []string
			for rows.Next() {
				var id, parent, unused int64
				var detail string
				if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
					t.Fatal(err)
				}
				plan = append(plan, detail)
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			whole := strings.Join(plan, "; ")
			// This index holds nothing but what waits for the log.
			rest := strings.ReplaceAll(whole, "SCAN audit_entries USING INDEX audit_unsequenced", "")
			costly := strings.Contains(rest, "SCAN ") || strings.Contains(rest, "TEMP B-TREE") || strings.Contains(rest, "AUTOMATIC")
			if _, may := walks[name]; costly != may {
				t.Errorf("%s: reads everything or sorts: %v, expected %v: %s", name, costly, may, whole)
			}
		}
	}
	for name := range walks {
		if !seen[name] {
			t.Errorf("%s is no query", name)
		}
	}
	if len(seen) < 80 {
		t.Errorf("only %d queries were found", len(seen))
	}
}
