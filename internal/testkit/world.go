package testkit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/demo"
	"github.com/wanbi/wanbi/internal/identifier"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/secret"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit/browser"
	"github.com/wanbi/wanbi/internal/testkit/story"
)

// World is the world that stories happen in: one server, the people of the
// story, and what they were sent.
type World struct {
	t      *testing.T
	engine store.Engine
	server *Server
	names  []string
	people map[string]*person
	seen   map[string]int // messages of a person that were read, by kind
}

// person is somebody with an account.
type person struct {
	account.Record
	backup []string
}

// NewWorld makes the world of one story. Commands beyond the generic ones:
//
//	policy NAME…                      the realms; the first line that is no comment
//	account WHO key=value…            phone, email, more-email, username, resident-id, name, lang, password,
//	                                  locked, contact-changed (ago), last-sign-in (ago), backup-codes=yes
//	reimport WHO key=value…           the host sends the account again, changed
//	advance DURATION                  the clock moves on and what is due is done
//	inbox WHO sms|email               opens the newest message for see, not-see and follow
//	no-message WHO sms|email          nothing came that was not read yet
//	messages WHO sms|email N          N messages came in all
//	audit EVENT…                      the newest case's entries, in order, gaps allowed
//	account-audit WHO EVENT…          the same for an account's chain
//	sign-in WHO PASSWORD RESULT…      asks as a host: ok, wrong, locked, disabled REASON, must-change
//	lock WHO REASON · unlock WHO REASON   the host's doing
//	state STATE                       the newest case's state as recorded
//	restart                           the server stops and starts again
//
// Values: from-inbox WHO sms|email (the code), link-from-inbox WHO sms|email,
// backup-code WHO N, case-ref (the newest case's).
func NewWorld(t *testing.T, engine store.Engine) *story.World {
	w := &World{t: t, engine: engine, people: map[string]*person{}, seen: map[string]int{}}
	return &story.World{
		Browser: func(string) (*browser.Browser, error) {
			s, err := w.ready()
			if err != nil {
				return nil, err
			}
			b := browser.New(s.Transport(), s.HTTP.URL)
			b.Now = s.Clock.Now
			return b, nil
		},
		Commands: map[string]story.Command{
			"policy": w.policy, "account": w.account, "reimport": w.reimport, "advance": w.advance, "inbox": w.inbox,
			"no-message": w.noMessage, "messages": w.messages, "audit": w.audit, "account-audit": w.accountAudit,
			"sign-in": w.signIn, "lock": w.lock(true), "unlock": w.lock(false), "state": w.state,
			"restart": func(*story.Run, []string) error { w.server.Restart(); return nil },
		},
		Values: map[string]story.Value{
			"from-inbox": w.code, "link-from-inbox": w.link, "backup-code": w.backupCode, "case-ref": w.caseRef,
		},
	}
}

func (w *World) ready() (*Server, error) {
	if w.server != nil {
		return w.server, nil
	}
	if len(w.names) == 0 {
		return nil, errors.New("say `policy NAME` first")
	}
	w.server = Start(w.t, w.engine, w.names)
	w.t.Cleanup(w.verify) // before the server is closed
	return w.server, nil
}

func (w *World) policy(_ *story.Run, args []string) error {
	w.names = append(w.names, args...)
	return nil
}

func (w *World) realm() recovery.Realm { return w.server.Options.Realms[0].Policy.Realm.ID }

// verify checks the whole audit log at the end of every story.
func (w *World) verify() {
	if w.server == nil || w.t.Failed() {
		return
	}
	ctx := context.Background()
	if err := w.server.Settle(ctx); err != nil {
		w.t.Error(err)
	}
	report, err := w.server.Log.Verify(ctx, nil)
	if err != nil || len(report.Problems) > 0 || report.Pending > 0 {
		w.t.Errorf("audit log after the story: %v %+v", err, report)
	}
}

func (w *World) account(r *story.Run, args []string) error {
	if len(args) < 2 {
		return errors.New("account WHO key=value…")
	}
	if w.people[args[0]] != nil {
		return fmt.Errorf("%s has an account already; say reimport", args[0])
	}
	w.people[args[0]] = &person{Record: account.Record{ID: "host-" + args[0]}}
	return w.reimport(r, args)
}

func (w *World) reimport(_ *story.Run, args []string) error {
	s, err := w.ready()
	if err != nil {
		return err
	}
	who, err := w.who(args[0])
	if err != nil {
		return err
	}
	codes := false
	for _, pair := range args[1:] {
		key, value, _ := strings.Cut(pair, "=")
		if key == "backup-codes" {
			codes = true
			continue
		}
		if err := w.set(s, who, key, value); err != nil {
			return err
		}
	}
	ctx := context.Background()
	results, err := s.Accounts.Import(ctx, w.realm(), []account.Record{who.Record})
	if err != nil {
		return err
	}
	if results[0].Err != nil {
		return fmt.Errorf("%s at %s", results[0].Err.Key, results[0].Err.Field)
	}
	if codes {
		return w.mintBackupCodes(who, results[0].Account)
	}
	return s.Settle(ctx)
}

func (w *World) set(s *Server, who *person, key, value string) error {
	ago := func() (*time.Time, error) {
		d, err := policy.ParseDuration(value)
		at := s.Now().Add(-d.Std())
		return &at, err
	}
	var err error
	switch key {
	case "phone":
		who.Phone = value
	case "email":
		who.Email = value
	case "more-email":
		who.MoreEmails = append(who.MoreEmails, value)
	case "username":
		who.Username = value
	case "resident-id":
		who.ResidentID = value
	case "name":
		who.RealName = value
	case "lang":
		who.Locale = value
	case "locked":
		who.Locked = value
	case "contact-changed":
		who.ContactChangedAt, err = ago()
	case "last-sign-in":
		who.LastSignInAt, err = ago()
	case "password": // as a host would bring it: a hash of its own, cheap here
		var hash []byte
		hash, err = bcrypt.GenerateFromPassword([]byte(value), bcrypt.MinCost)
		who.PasswordHash = string(hash)
	default:
		return fmt.Errorf("no such field: %s", key)
	}
	return err
}

func (w *World) mintBackupCodes(who *person, id recovery.AccountID) error {
	return w.server.DB.Write(context.Background(), func(tx *store.Tx) error {
		for range channel.BackupCodes {
			code := secret.NewBackupCode()
			canonical, _ := secret.CanonicalBackupCode(code)
			who.backup = append(who.backup, code)
			if err := tx.InsertBackupCode(context.Background(), db.InsertBackupCodeParams{
				AccountID: string(id), Hash: channel.HashBackupCode(w.server.Keys, id, canonical),
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *World) who(name string) (*person, error) {
	if p := w.people[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("nobody called %s has an account", name)
}

func (w *World) advance(_ *story.Run, args []string) error {
	s, err := w.ready()
	if err != nil {
		return err
	}
	d, err := policy.ParseDuration(args[0])
	if err != nil {
		if d, err := time.ParseDuration(args[0]); err == nil { // milliseconds, for the last instants
			return s.Advance(d)
		}
		return err
	}
	return s.Advance(d.Std())
}

// mailbox gives the messages that a person got, oldest first. A name with an @
// or digits is an address without an account.
func (w *World) mailbox(name, kind string) ([]demo.Message, error) {
	if kind != "sms" && kind != "email" {
		return nil, fmt.Errorf("%q: sms or email", kind)
	}
	address := name
	if p := w.people[name]; p != nil {
		address = p.Phone
		if kind == "email" {
			address = p.Email
		}
	}
	id, err := identifier.Parse(map[string]recovery.IdentifierKind{"sms": "phone", "email": "email"}[kind], address)
	if err != nil {
		return nil, fmt.Errorf("%s has no %s: %w", name, kind, err)
	}
	return w.server.Inbox.Messages(id.Value), nil
}

func (w *World) newest(name, kind string) (demo.Message, error) {
	all, err := w.mailbox(name, kind)
	if err != nil {
		return demo.Message{}, err
	}
	if len(all) == 0 {
		return demo.Message{}, fmt.Errorf("%s got no %s", name, kind)
	}
	w.seen[name+kind] = len(all)
	return all[len(all)-1], nil
}

func (w *World) inbox(r *story.Run, args []string) error {
	if len(args) != 2 {
		return errors.New("inbox WHO sms|email")
	}
	m, err := w.newest(args[0], args[1])
	if err != nil {
		return err
	}
	return r.Read(args[0], story.Message{Title: m.Subject, Text: m.Subject + "\n" + m.Text})
}

func (w *World) noMessage(_ *story.Run, args []string) error {
	all, err := w.mailbox(args[0], args[1])
	if err == nil && len(all) > w.seen[args[0]+args[1]] {
		err = fmt.Errorf("%s got: %s", args[0], all[len(all)-1].Text)
	}
	return err
}

func (w *World) messages(_ *story.Run, args []string) error {
	all, err := w.mailbox(args[0], args[1])
	if err == nil && fmt.Sprint(len(all)) != args[2] {
		err = fmt.Errorf("%s got %d messages", args[0], len(all))
	}
	return err
}

func (w *World) code(_ *story.Run, args []string) (string, error) {
	all, err := w.mailbox(args[0], args[1])
	if err != nil {
		return "", err
	}
	for _, m := range slices.Backward(all) {
		if m.Code != "" {
			w.seen[args[0]+args[1]] = len(all)
			return m.Code, nil
		}
	}
	return "", fmt.Errorf("%s got no code by %s", args[0], args[1])
}

func (w *World) link(_ *story.Run, args []string) (string, error) {
	m, err := w.newest(args[0], args[1])
	if err != nil {
		return "", err
	}
	if len(m.Links) == 0 {
		return "", fmt.Errorf("no link in: %s", m.Text)
	}
	return m.Links[0], nil
}

func (w *World) caseRef(*story.Run, []string) (string, error) {
	row, err := w.newestCase()
	return row.Ref, err
}

func (w *World) backupCode(_ *story.Run, args []string) (string, error) {
	p, err := w.who(args[0])
	if err != nil {
		return "", err
	}
	n := 0
	if _, err := fmt.Sscan(args[1], &n); err != nil || n < 1 || n > len(p.backup) {
		return "", fmt.Errorf("%s has no backup code %s", args[0], args[1])
	}
	return p.backup[n-1], nil
}

func (w *World) accountID(name string) (recovery.AccountID, error) {
	p, err := w.who(name)
	if err != nil {
		return "", err
	}
	var id recovery.AccountID
	err = w.server.DB.Read(context.Background(), func(q *db.Queries) (err error) {
		id, _, err = w.server.Accounts.FindHostID(context.Background(), q, w.realm(), p.ID)
		return err
	})
	return id, err
}

func (w *World) audit(_ *story.Run, args []string) error {
	row, err := w.newestCase()
	if err != nil {
		return err
	}
	return w.expect(audit.Chain{Owner: row.Subject, ID: row.ID, Realm: recovery.Realm(row.Realm)}, args)
}

func (w *World) accountAudit(_ *story.Run, args []string) error {
	id, err := w.accountID(args[0])
	if err != nil {
		return err
	}
	return w.expect(account.Chain(w.realm(), id), args[1:])
}

func (w *World) expect(chain audit.Chain, want []string) error {
	var got []string
	err := w.server.DB.Read(context.Background(), func(q *db.Queries) error {
		records, err := audit.Read(context.Background(), q, w.server.Keys, chain)
		for _, r := range records {
			got = append(got, r.Event)
		}
		return err
	})
	rest := got
	for _, event := range want {
		i := slices.Index(rest, event)
		if i < 0 {
			return errors.Join(err, fmt.Errorf("no %s in its place; recorded: %s", event, strings.Join(got, " ")))
		}
		rest = rest[i+1:]
	}
	return err
}

func (w *World) newestCase() (db.Case, error) {
	var newest db.Case
	err := w.server.DB.Read(context.Background(), func(q *db.Queries) error {
		heads, err := q.CaseHeads(context.Background(), db.CaseHeadsParams{Most: 1000})
		for _, h := range heads {
			row, err := q.GetCase(context.Background(), db.GetCaseParams{Subject: h.Subject, ID: h.ID})
			if err != nil {
				return err
			}
			if row.ID > newest.ID && row.Linked == "" {
				newest = row
			}
		}
		return err
	})
	if err == nil && newest.ID == "" {
		err = errors.New("there is no case")
	}
	return newest, err
}

func (w *World) state(_ *story.Run, args []string) error {
	row, err := w.newestCase()
	if err == nil && row.State != args[0] {
		err = fmt.Errorf("the case is %s", row.State)
	}
	return err
}

func (w *World) signIn(_ *story.Run, args []string) error {
	p, err := w.who(args[0])
	if err != nil {
		return err
	}
	name := p.Username
	if name == "" {
		name = p.Phone
	}
	got, err := w.server.Accounts.Verify(context.Background(), account.SignIn{Realm: w.realm(), Identifier: name, Secret: args[1]})
	if err != nil {
		return err
	}
	is := string(got.Result)
	for _, reason := range got.Reasons {
		is += " " + string(reason)
	}
	if want := strings.Join(args[2:], " "); is != want {
		return fmt.Errorf("it is: %s", is)
	}
	return nil
}

func (w *World) lock(on bool) story.Command {
	return func(_ *story.Run, args []string) error {
		p, err := w.who(args[0])
		if err != nil {
			return err
		}
		return w.server.Accounts.SetLock(context.Background(), w.realm(), p.ID, recovery.LockReason(args[1]), on)
	}
}
