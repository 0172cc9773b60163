// Package demo brings a whole server to life with nothing but the binary: made-up
// people, an inbox in place of the telephone network and the mail, and a clock
// that can be moved.
//
// Everything behind the pages is the real thing, storage, keys, policies and the
// audit log included; only messages are kept in place of being sent.
//
// Trust: none. Whoever reaches this server reads everybody's messages, which is
// why it listens on loopback unless it is told otherwise.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/config"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/secret"
	"github.com/wanbi/wanbi/internal/server"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Options say how a demo starts. Origin is needed, the rest has defaults.
type Options struct {
	// Origin is scheme and host of its own address, for links in messages.
	Origin string
	// Folder keeps database and keys from one demo to the next; empty for a
	// temporary one that ends with it.
	Folder string
	// Realms are the policies in place of the demo's own; none for those.
	Realms []*policy.Policy
	Hash   secret.Params    // zero for the usual cost
	Base   func() time.Time // of the clock; nil for time.Now
	Log    *slog.Logger     // nil for none
}

// Demo is a running server with its people, inbox and clock.
type Demo struct {
	Server *server.Server
	Inbox  *Inbox
	Clock  *Clock
	// Realms are its policies, in the order of the front page.
	Realms []*policy.Policy
	// Samples are the accounts in each realm.
	Samples []Sample
	// BackupCodes work for the first of them, each once in each realm.
	BackupCodes []string
	// Kept says that the folder had accounts from an earlier demo.
	Kept bool

	folder    string
	temporary bool
	handler   http.Handler
}

// New makes a demo and brings its people in. Run it beside its handler, and close
// it when done.
func New(ctx context.Context, o Options) (*Demo, error) {
	if o.Base == nil {
		o.Base = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &Demo{Inbox: NewInbox(), Clock: NewClock(o.Base), folder: o.Folder}
	d.Inbox.Now = d.now
	if err := d.open(ctx, o); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.handler = d.routes()
	return d, nil
}

// now is the server's clock once there is one.
func (d *Demo) now() time.Time {
	if d.Server != nil {
		return d.Server.Now()
	}
	return d.Clock.Now()
}

func (d *Demo) open(ctx context.Context, o Options) error {
	var err error
	if d.folder == "" {
		d.temporary = true
		d.folder, err = os.MkdirTemp("", "wanbi-demo-")
	} else {
		err = os.MkdirAll(d.folder, 0o700)
	}
	if err != nil {
		return err
	}
	keys, err := ownKeys(filepath.Join(d.folder, "keys.json"))
	if err != nil {
		return err
	}
	options := server.Options{
		Database: "sqlite:" + filepath.Join(d.folder, "wanbi.db"), Migrate: true, Keys: keys, Origin: o.Origin, Sender: d.Inbox,
		Checkpoint: filepath.Join(d.folder, "checkpoint"), Hash: o.Hash, Now: d.Clock.Now, Log: o.Log,
	}
	if d.Realms, err = realmsOf(o); err != nil {
		return err
	}
	for _, p := range d.Realms {
		options.Realms = append(options.Realms, server.Realm{Policy: p})
	}
	if d.Server, err = server.New(ctx, options); err != nil {
		return err
	}
	d.Clock.NotBefore(d.Server.Now()) // an earlier demo in this folder may have moved its clock
	return d.populate(ctx, keys)
}

// realmsOf gives the policies that the options name, or the demo's own.
func realmsOf(o Options) ([]*policy.Policy, error) {
	if len(o.Realms) > 0 {
		return o.Realms, nil
	}
	var own []*policy.Policy
	for _, name := range Policies {
		p, err := config.LoadPolicy(name)
		if err != nil {
			return nil, err
		}
		own = append(own, p)
	}
	return own, nil
}

// ownKeys reads the folder's keys, or makes them.
func ownKeys(path string) (*seal.Keyring, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		text, err := seal.Generate("demo.example.cn/wanbi")
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return nil, err
		}
	}
	return seal.Load(path)
}

// populate brings the people into each realm, unless they are there, and makes
// new backup codes for the first.
func (d *Demo) populate(ctx context.Context, keys *seal.Keyring) error {
	d.Samples = Data(d.Server.Now())
	hash := importedHash(Password)
	batch := make([]account.Record, len(d.Samples))
	for i := range d.Samples {
		d.Samples[i].PasswordHash = hash
		batch[i] = d.Samples[i].Record
	}
	for range channel.BackupCodes {
		d.BackupCodes = append(d.BackupCodes, secret.NewBackupCode())
	}
	for _, p := range d.Realms {
		there, err := d.find(ctx, p.Realm.ID, batch[0].ID)
		if err != nil {
			return err
		}
		d.Kept = d.Kept || there != ""
		if there == "" {
			results, err := d.Server.Accounts.Import(ctx, p.Realm.ID, batch)
			if err != nil {
				return err
			}
			for i, result := range results {
				if result.Err != nil {
					return fmt.Errorf("sample account %s: %w", batch[i].ID, result.Err)
				}
			}
			there = results[0].Account
		}
		if err := d.putBackupCodes(ctx, keys, there); err != nil {
			return err
		}
	}
	return nil
}

func (d *Demo) find(ctx context.Context, realm recovery.Realm, hostID string) (id recovery.AccountID, err error) {
	err = d.Server.DB.Read(ctx, func(q *db.Queries) error {
		id, _, err = d.Server.Accounts.FindHostID(ctx, q, realm, hostID)
		return err
	})
	return id, err
}

// putBackupCodes gives an account these codes in place of those it had: of
// earlier ones only hashes are left, and nobody could show them.
func (d *Demo) putBackupCodes(ctx context.Context, keys *seal.Keyring, id recovery.AccountID) error {
	return d.Server.DB.Write(ctx, func(tx *store.Tx) error {
		return d.Server.Accounts.Edit(ctx, tx, id, func(e *account.Edit) error {
			if err := tx.DeleteBackupCodes(ctx, string(id)); err != nil {
				return err
			}
			for _, code := range d.BackupCodes {
				canonical, _ := secret.CanonicalBackupCode(code)
				if err := tx.InsertBackupCode(ctx, db.InsertBackupCodeParams{
					AccountID: string(id), Hash: channel.HashBackupCode(keys, id, canonical), CreatedAt: store.Millis(e.Now),
				}); err != nil {
					return err
				}
			}
			e.Record(ctx, "backup-codes.made", map[string]string{"by": "demo"})
			return nil
		})
	})
}

// Handler answers requests: the server's own, and the demo's under /demo.
func (d *Demo) Handler() http.Handler { return d.handler }

// Run does the work beside requests until ctx ends.
func (d *Demo) Run(ctx context.Context) { d.Server.Run(ctx) }

// Advance moves the clock and does everything that became due.
func (d *Demo) Advance(ctx context.Context, by time.Duration) error {
	d.Clock.Advance(by)
	return d.Server.Settle(ctx)
}

// Close closes the server and removes a temporary folder. Run must have ended.
func (d *Demo) Close() error {
	var err error
	if d.Server != nil {
		err = d.Server.Close()
	}
	if d.temporary && d.folder != "" {
		err = errors.Join(err, os.RemoveAll(d.folder))
	}
	return err
}
