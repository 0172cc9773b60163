package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/config"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/reseal"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/webhook"
)

// The bounds that a check warns or fails at. Ours: a clock that is off by more
// than a code's shortest life voids codes; below a gigabyte an hour of messages
// and records can fill a small disk.
const (
	clockWarn, clockFail = 2 * time.Second, 5 * time.Minute
	diskWarn, diskFail   = 1 << 30, 100 << 20 // bytes
	lateJob              = 2 * time.Minute
	lateEntry            = time.Minute
)

func (e *examination) keys(c *config.Config) *seal.Keyring {
	keys, err := seal.Load(c.Keys)
	if err != nil {
		e.fail("keys", "%s; if the file is lost, put its copy back: a new one cannot read this database", explain(err))
		return nil
	}
	if folder, err := os.Stat(filepath.Dir(c.Keys)); err == nil && folder.Mode().Perm()&0o022 != 0 && folder.Mode()&os.ModeSticky == 0 {
		e.warn("keys", "%s can be written by others (mode %04o): they could put another key file there", filepath.Dir(c.Keys), folder.Mode().Perm())
	}
	e.ok("keys", "%s has every part, for the log %s; versions %s", c.Keys, keys.Signer().Name(), versionWords(keys))
	return keys
}

// rotation looks how far a rotation of the keys is.
func (e *examination) rotation(d *store.DB, keys *seal.Keyring) {
	if keys == nil {
		return
	}
	if err := reseal.Current(e.s.ctx, d, keys); err != nil {
		e.fail("rotation", "%s", explain(err))
		return
	}
	versions := keys.Versions()
	if last := versions[len(versions)-1]; len(last.Waiting) > 0 {
		e.warn("rotation", "version %s is not used yet: when every node has the file, wanbi keys promote", last.Version)
	}
	sealed, index := keys.Older("seal"), keys.Older("index")
	if len(sealed)+len(index) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(e.s.ctx, patience)
	defer cancel()
	left, err := reseal.Count(ctx, d, sealed, index)
	var values int64
	for _, l := range left {
		values += l.Values
	}
	switch {
	case ctx.Err() != nil:
		e.warn("rotation", "what stands under older versions was not counted within %s: wanbi keys status takes its time", patience)
	case err != nil:
		e.fail("rotation", "%s", explain(err))
	case values > 0:
		e.warn("rotation", "%d values stand under older versions: the running server seals them anew; wanbi keys status", values)
	default:
		e.ok("rotation", "nothing stands under older versions; wanbi keys status says what keeps them")
	}
}

// database gives the open database when the rest can be looked at.
func (e *examination) database(c *config.Config) *store.DB {
	if path, ok := sqlitePath(c.Database); ok {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			e.fail("database", "%s is not there: run `wanbi migrate` for a new one, or `wanbi restore` for a backup", path)
			return nil
		}
	}
	d, err := store.Open(c.Database)
	if err != nil {
		e.fail("database", "%s", explain(err))
		return nil
	}
	ctx, cancel := context.WithTimeout(e.s.ctx, patience)
	defer cancel()
	condition, err := d.Inspect(ctx)
	switch {
	case err != nil:
		e.fail("database", "it does not answer: %s; is it running, and may this machine reach it?", explain(err))
	case condition.Pending:
		e.fail("database", "the schema is older than this program: make a backup, then run `wanbi migrate`")
	case condition.TooOld:
		e.fail("database", "the schema needs a newer program than this one: put the newer one in place")
	case condition.OldVersion():
		e.fail("database", "%s %s is too old: at least %s", condition.Engine, condition.Version, condition.Engine.Least())
	default:
		e.ok("database", "%s %s answers, the schema is up to date", condition.Engine, condition.Version)
		return d
	}
	_ = d.Close()
	return nil
}

// clock compares this machine's clock with the database's and with the record.
func (e *examination) clock(d *store.DB) {
	condition, err := d.Inspect(e.s.ctx)
	if err != nil {
		e.fail("clock", "%s", explain(err))
		return
	}
	var head db.GetLogHeadRow
	if err := d.Read(e.s.ctx, func(q *db.Queries) (err error) {
		head, err = q.GetLogHead(e.s.ctx)
		return err
	}); err != nil {
		e.fail("clock", "%s", explain(err))
		return
	}
	now := time.Now().UTC()
	apart, ahead := now.Sub(condition.Clock).Abs(), store.Time(head.HighWater).Sub(now)
	switch {
	case head.HighWater > 0 && ahead > clockFail:
		e.fail("clock", "it is %s here, but the record has an entry of %s: time stands still until then; set the clock (chrony, NTP)",
			moment(now), moment(store.Time(head.HighWater)))
	case apart > clockFail:
		e.fail("clock", "%s apart from the database's: set both by NTP", apart.Round(time.Second))
	case head.HighWater > 0 && ahead > clockWarn:
		e.warn("clock", "%s behind the latest entry of the record: is NTP running here?", ahead.Round(time.Second))
	case apart > clockWarn:
		e.warn("clock", "%s apart from the database's: is NTP running on both?", apart.Round(time.Second))
	default:
		e.ok("clock", "agrees with the database and the record")
	}
}

// record compares the audit log with the checkpoint file.
func (e *examination) record(c *config.Config, d *store.DB, keys *seal.Keyring) {
	if keys == nil {
		return
	}
	if c.Checkpoint == "" {
		e.warn("checkpoint", "no file is configured: a database that was put back would be served unseen; set checkpoint")
		return
	}
	log := &audit.Log{DB: d, Keys: keys, Now: time.Now, File: c.Checkpoint}
	if err := log.CheckEpoch(e.s.ctx); err != nil {
		e.fail("checkpoint", "%s; see restore in docs/operations.md", explain(err))
		return
	}
	head, _, err := log.Head(e.s.ctx)
	if err != nil {
		e.fail("checkpoint", "the key file is not the one that signed this record, or it was changed: %s", explain(err))
		return
	}
	if _, err := os.Stat(c.Checkpoint); errors.Is(err, fs.ErrNotExist) && head.Size > 0 {
		e.warn("checkpoint", "%s is not there although %d entries were signed; it is written anew with the next entry", c.Checkpoint, head.Size)
		return
	}
	e.ok("checkpoint", "agrees with the record of %d entries", head.Size)
}

// work looks for what waits and what was given up.
func (e *examination) work(d *store.DB) {
	backlog, err := d.Backlog(e.s.ctx)
	if err != nil {
		e.fail("jobs", "%s", explain(err))
		return
	}
	now := time.Now()
	switch late := now.Sub(backlog.OldestDue); {
	case !backlog.OldestDue.IsZero() && late > lateJob:
		e.warn("jobs", "%d wait, the first for %s: is the server running, and does its log say why?", backlog.Waiting, late.Round(time.Second))
	default:
		e.ok("jobs", "%d wait", backlog.Waiting)
	}
	if backlog.Dead > 0 {
		e.warn("dead", "%d dead letters: `wanbi jobs` lists them with their reasons", backlog.Dead)
	} else {
		e.ok("dead", "no dead letters")
	}
	if late := now.Sub(backlog.OldestUnsequenced); !backlog.OldestUnsequenced.IsZero() && late > lateEntry {
		e.warn("audit", "%d entries wait for the log, the first for %s: is the server running?", backlog.Unsequenced, late.Round(time.Second))
	}
}

func (e *examination) policies(c *config.Config) {
	for _, entry := range c.Policies {
		p, err := config.LoadPolicy(entry.File)
		if err != nil {
			e.fail("policy", "%s: %s", entry.File, explain(err))
			continue
		}
		weak := 0
		for _, f := range p.Check() {
			if f.Level == policy.LevelWeak {
				weak++
			}
		}
		if weak > 0 {
			e.warn("policy", "%s: weaknesses accepted: %d; `wanbi policy check %s` lists them", p.Realm.ID, weak, entry.File)
			continue
		}
		e.ok("policy", "%s: loads, no weakness", p.Realm.ID)
	}
	if _, err := c.Realms(); err != nil {
		e.fail("policy", "%s", explain(err))
	}
}

// disk looks at the room where this machine writes.
func (e *examination) disk(c *config.Config) {
	folders := map[string]string{}
	if path, ok := sqlitePath(c.Database); ok {
		folders[filepath.Dir(path)] = "the database"
	}
	if c.Checkpoint != "" {
		folders[filepath.Dir(c.Checkpoint)] = "the checkpoint"
	}
	for folder, what := range folders {
		var room syscall.Statfs_t
		if err := syscall.Statfs(folder, &room); err != nil {
			e.fail("disk", "%s, for %s: %v", folder, what, err)
			continue
		}
		free := room.Bavail * uint64(room.Bsize)
		switch {
		case free < diskFail:
			e.fail("disk", "%d MiB free in %s: make room now; a full disk stops every change", free>>20, folder)
		case free < diskWarn:
			e.warn("disk", "%d MiB free in %s: make room", free>>20, folder)
		default:
			e.ok("disk", "%d GiB free in %s", free>>30, folder)
		}
	}
}

// reaching is a sender that can be tried without sending.
type reaching interface{ Reach(context.Context) error }

func (e *examination) mail(c *config.Config) { e.reach(c, "mail", "smtp", recovery.ContactEmail) }

func (e *examination) texts(c *config.Config) { e.reach(c, "texts", "sms", recovery.ContactPhone) }

func (e *examination) reach(c *config.Config, what, section string, kind recovery.ContactKind) {
	senders, closeAll, err := c.Senders(time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		e.fail(what, "%s", explain(err))
		return
	}
	defer closeAll()
	sender, ok := senders[kind].(reaching)
	if !ok {
		e.warn(what, "no section %s: none are sent", section)
		return
	}
	ctx, cancel := context.WithTimeout(e.s.ctx, patience)
	defer cancel()
	if err := sender.Reach(ctx); err != nil {
		e.fail(what, "%s; until it answers, messages wait and are tried again for half a day", explain(err))
		return
	}
	e.ok(what, "the next system answers; nothing was sent")
}

// traces asks the collector for any answer. Traces are no part of serving, so one
// that is away is a warning.
func (e *examination) traces(c *config.Config) {
	if c.Tracing == nil {
		return
	}
	ctx, cancel := context.WithTimeout(e.s.ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Tracing.Endpoint, http.NoBody)
	if err == nil {
		var answer *http.Response
		if answer, err = http.DefaultTransport.RoundTrip(request); err == nil {
			err = answer.Body.Close()
		}
	}
	if err != nil {
		e.warn("traces", "the collector does not answer: %s; traces are lost until it does", explain(err))
		return
	}
	e.ok("traces", "the collector answers; nothing was sent")
}

func (e *examination) hosts(c *config.Config, keys *seal.Keyring) {
	if keys == nil {
		return
	}
	client := &webhook.Client{Key: keys.HookKey(), KeyID: keys.HookKeyID(), Now: time.Now, AllowPrivate: c.Private(), Timeout: patience}
	for _, entry := range c.Policies {
		for what, target := range map[string]string{"events": entry.Events, "directory": entry.Directory} {
			if target == "" {
				continue
			}
			if err := client.Reach(e.s.ctx, target); err != nil {
				e.fail("host", "%s of %s: %s", what, entry.File, explain(err))
				continue
			}
			e.ok("host", "%s of %s answers; nothing was told", what, entry.File)
		}
	}
}
