package faults

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/wanbi/wanbi/internal/bench/rig"
)

// oldSecret is what every account signed in with before.
const oldSecret = "Lantern-before-9"

// Found is what is there when everything is over: outside, in the database, and
// as the server tells it.
type Found struct {
	Letters map[string][]rig.Letter // by recipient, as they came
	Events  map[string][]Event      // by the host's ID of the account, as they came
	Cases   map[string]Case         // by reference
	Secrets map[int]Secrets         // by account, of the recoveries that completed
	Waiting int                     // jobs that are not done
	Dead    []string                // jobs that were given up
	Audit   string                  // what `wanbi audit verify` complains of
}

// Case is one case as it is.
type Case struct {
	State   string         // as the API tells its claimant
	Entries map[string]int // of the case's chain, by event
	Account map[string]int // of its account's chain, by event
}

// Secrets is how the host's questions about an account's secrets are answered.
type Secrets struct{ New, Old string }

// open opens the database beside the servers.
func open(dsn string) (*sql.DB, error) {
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		return sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?_pragma=busy_timeout(10000)&_pragma=query_only(ON)")
	}
	return sql.Open("pgx", dsn)
}

// settleWithin is how long the servers may take to do what is left: leases end
// after 30 seconds, and what failed often waits longer.
const settleWithin = 3 * time.Minute

// settled waits until no job waits and every entry is in the log.
func (w *World) settled(ctx context.Context) (waiting int, err error) {
	d, err := open(w.Database)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var pending int
		err := errors.Join(
			d.QueryRowContext(ctx, "SELECT count(*) FROM jobs WHERE dead_at = 0").Scan(&waiting),
			d.QueryRowContext(ctx, "SELECT count(*) FROM audit_entries WHERE leaf IS NULL").Scan(&pending),
		)
		if err == nil && waiting == 0 && pending == 0 {
			return 0, nil
		}
		select {
		case <-ctx.Done():
			return waiting + pending, nil
		case <-tick.C:
		}
	}
}

// look gathers what is there. Servers are up and nobody works.
func (w *World) look(ctx context.Context) (f Found, err error) {
	if f.Waiting, err = w.settled(ctx); err != nil {
		return f, err
	}
	f.Letters, f.Events = w.mailbox.all(), w.host.all()
	f.Cases, f.Secrets = map[string]Case{}, map[int]Secrets{}
	d, err := open(w.Database)
	if err != nil {
		return f, err
	}
	defer d.Close()
	if f.Dead, err = column(ctx, d, "SELECT kind || ' ' || last_error FROM jobs WHERE dead_at > 0"); err != nil {
		return f, err
	}
	for _, r := range w.driver.Recoveries {
		if r.Ref == "" {
			continue
		}
		if f.Cases[r.Ref], err = w.lookAt(ctx, d, r); err != nil {
			return f, fmt.Errorf("case %s: %w", r.Ref, err)
		}
		if r.Completed {
			if f.Secrets[r.Account], err = w.ask(ctx, r); err != nil {
				return f, fmt.Errorf("secrets of account %d: %w", r.Account, err)
			}
		}
	}
	if out, err := w.Nodes[0].Do(ctx, "audit", "verify"); err != nil {
		f.Audit = strings.TrimSpace(out)
	}
	return f, ctx.Err()
}

// lookAt reads one case, from the server and from the database. A case that is not
// there is the zero value.
func (w *World) lookAt(ctx context.Context, d *sql.DB, r *Recovery) (c Case, err error) {
	var told shown
	status, err := w.call(ctx, http.MethodGet, "/v1/cases/"+r.id, r.token, nil, &told)
	if err != nil {
		return c, err
	}
	if c.State = told.State; status != http.StatusOK {
		c.State = http.StatusText(status)
	}
	var subject, id, account string
	err = d.QueryRowContext(ctx, `SELECT c.subject, c.id, c.account_id FROM case_refs r
		JOIN cases c ON c.subject = r.subject AND c.id = r.case_id WHERE r.ref = $1`, r.Ref).Scan(&subject, &id, &account)
	if errors.Is(err, sql.ErrNoRows) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if c.Entries, err = entries(ctx, d, subject, id); err != nil || account == "" {
		return c, err
	}
	c.Account, err = entries(ctx, d, account, account)
	return c, err
}

// entries counts a chain's entries by event.
func entries(ctx context.Context, d *sql.DB, owner, chain string) (map[string]int, error) {
	events, err := column(ctx, d, "SELECT event FROM audit_entries WHERE owner = $1 AND chain = $2", owner, chain)
	counts := map[string]int{}
	for _, event := range events {
		counts[event]++
	}
	return counts, err
}

func column(ctx context.Context, d *sql.DB, query string, args ...any) ([]string, error) {
	rows, err := d.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, rows.Err()
}

// ask asks as the host whether the new secret works, and whether the old one does.
func (w *World) ask(ctx context.Context, r *Recovery) (s Secrets, err error) {
	for secret, result := range map[string]*string{r.Secret: &s.New, oldSecret: &s.Old} {
		var out struct{ Result string }
		in := body{"identifier": rig.Address(r.Account), "secret": secret}
		status, err := w.call(ctx, http.MethodPost, "/v1/"+rig.Realm+"/secrets/verify", w.key, in, &out)
		if err != nil {
			return s, err
		}
		if *result = out.Result; status != http.StatusOK {
			*result = http.StatusText(status)
		}
	}
	return s, nil
}

// call makes one request to the first node.
func (w *World) call(ctx context.Context, method, path, token string, in body, out any) (int, error) {
	var text io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		text = strings.NewReader(string(encoded))
	}
	request, err := http.NewRequestWithContext(ctx, method, w.Nodes[0].Origin()+path, text)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := w.driver.http.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return response.StatusCode, err
	}
	return response.StatusCode, json.Unmarshal(answer, out)
}
