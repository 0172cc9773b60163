package casework_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/wanbi/wanbi/internal/store"
)

// dump reads every table, sorted, as text: one entry a row, by table name.
func (d *desk) dump(without ...string) map[string][]string {
	d.t.Helper()
	conn := d.raw()
	out := map[string][]string{}
	for _, table := range d.tables(conn) {
		if !slices.Contains(without, table) {
			out[table] = d.rows(conn, table)
		}
	}
	return out
}

// raw opens the database beside the server.
func (d *desk) raw() *sql.DB {
	d.t.Helper()
	driver, dsn := "pgx", d.Options.Database
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, dsn = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	conn, err := sql.Open(driver, dsn)
	d.check(err)
	d.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (d *desk) tables(conn *sql.DB) []string {
	query := `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`
	if d.DB.Engine() == store.PostgreSQL {
		query = `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`
	}
	rows, err := conn.QueryContext(ctx, query)
	d.check(err)
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var name string
		d.check(rows.Scan(&name))
		names = append(names, name)
	}
	d.check(rows.Err())
	return names
}

func (d *desk) rows(conn *sql.DB, table string) []string {
	rows, err := conn.QueryContext(ctx, `SELECT * FROM `+table)
	d.check(err)
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	d.check(err)
	var out []string
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		d.check(rows.Scan(values...))
		var line strings.Builder
		for i, v := range values {
			value := *v.(*any)
			if raw, ok := value.([]byte); ok {
				value = string(raw)
			}
			fmt.Fprintf(&line, "%s=%v|", columns[i], value)
		}
		out = append(out, line.String())
	}
	d.check(rows.Err())
	slices.Sort(out)
	return out
}

// differences names the tables that differ.
func differences(before, after map[string][]string) []string {
	var out []string
	for table, rows := range after {
		if !slices.Equal(rows, before[table]) {
			out = append(out, table)
		}
	}
	slices.Sort(out)
	return out
}

// number reads one number.
func (d *desk) number(query string) (n int) {
	d.t.Helper()
	d.check(d.raw().QueryRowContext(ctx, query).Scan(&n))
	return n
}
