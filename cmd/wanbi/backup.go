package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/config"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
)

type backupCommand struct {
	settings
	File string `arg:"" help:"The backup to write." placeholder:"FILE" type:"path"`
}

// Help is what --help says beside the flags.
func (backupCommand) Help() string {
	return `Writes a consistent copy of a SQLite database while the server serves, checks that it is whole, and replaces no file. Keep it in another place than the key file: it can be read with the keys only, and the keys are not in it.

PostgreSQL has its own: pg_basebackup with the archive of its log, or pg_dump.

Example:

    wanbi backup --config /etc/wanbi/wanbi.yaml /backup/wanbi-$(date +%F).db`
}

// postgresBackup is what to do where a database is not one file.
const postgresBackup = "this database is PostgreSQL: use pg_basebackup with archived WAL (or pg_dump --format=custom), and keep the key file and the settings apart from it; see docs/operations.md"

func (c backupCommand) Run(s std) error {
	read, err := c.load(s)
	if err != nil {
		return err
	}
	path, ok := sqlitePath(read.Database)
	if !ok {
		return errors.New(postgresBackup)
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	d, err := store.Open(read.Database)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Backup(s.ctx, c.File); errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already and is not replaced", c.File)
	} else if err != nil {
		return err
	}
	info, err := os.Stat(c.File)
	if err != nil {
		return err
	}
	s.printf("%s: %d KiB, whole. The keys are not in it: keep a copy of %s in another place\n", c.File, info.Size()>>10, read.Keys)
	return nil
}

type restoreCommand struct {
	settings
	File   string `arg:"" optional:"" help:"The backup to put back." placeholder:"FILE" type:"path"`
	Force  bool   `help:"Put it in the place of a database that is there; that one is kept beside it."`
	Accept bool   `help:"Accept that what happened since the backup is lost, and void what must not come back."`
}

// Help is what --help says beside the flags.
func (restoreCommand) Help() string {
	return `First with FILE: puts a copy of a backup in the place of the SQLite database. Stop the server before. A database that is there is kept beside it, and only with --force; the backup is checked first and not changed.

The server then refuses to serve where the database is older than its signed checkpoint: used codes and attempts would come back. If you have a newer backup, restore that. If not, accept, also after a restore of PostgreSQL: every challenge, token of a case, backup code and trusted device is void, open cases of known accounts end at their next step, all counters that are there are full for a day, an entry says so, and the log goes on from a new checkpoint. The old checkpoint file is kept beside it.

What was done since the backup must be done again by hand: docs/operations.md has the list.

Example:

    wanbi restore --config /etc/wanbi/wanbi.yaml --force /backup/wanbi-2026-11-20.db
    wanbi restore --config /etc/wanbi/wanbi.yaml --accept`
}

func (c restoreCommand) Run(s std) error {
	if (c.File == "") == !c.Accept {
		return errors.New("give a backup to put back, or --accept afterwards; see wanbi restore --help")
	}
	read, err := c.load(s)
	if err != nil {
		return err
	}
	keys, err := seal.Load(read.Keys)
	if err != nil {
		return err
	}
	if c.Accept {
		return c.accept(s, read, keys)
	}
	return c.putBack(s, read, keys)
}

func (c restoreCommand) putBack(s std, read *config.Config, keys *seal.Keyring) error {
	path, ok := sqlitePath(read.Database)
	if !ok {
		return errors.New("this database is PostgreSQL: restore it with its own tools, then run `wanbi restore --accept`")
	}
	if _, err := os.Stat(path); err == nil && !c.Force {
		return fmt.Errorf("%s is there: with --force it is moved aside", path)
	}
	aside := path + ".before-" + stamp()
	if err := store.Replace(s.ctx, path, c.File, aside); err != nil {
		return err
	}
	s.printf("%s is what %s was\n", path, c.File)
	if _, err := os.Stat(aside); err == nil {
		s.printf("what was there is %s: delete it when you do not need it any more\n", aside)
	}
	d, err := store.Open(read.Database)
	if err != nil {
		return err
	}
	defer d.Close()
	log := &audit.Log{DB: d, Keys: keys, Now: time.Now, File: read.Checkpoint}
	_, there, err := log.Outside()
	switch {
	case err == nil && !there:
		s.printf("there is no checkpoint file that tells how old it is: run `wanbi migrate`, then `wanbi restore --accept`\n")
		return nil
	case err == nil:
		err = log.CheckEpoch(s.ctx)
	}
	if err != nil {
		s.printf("it will not be served as it is: %s\nIs there a newer backup? If not, run `wanbi migrate`, then `wanbi restore --accept`\n", explain(err))
		return nil
	}
	s.printf("nothing that was signed is missing in it: run `wanbi migrate`, then start the server\n")
	return nil
}

// stamp names what is kept aside.
func stamp() string { return time.Now().UTC().Format("20060102T150405Z") }

func (c restoreCommand) accept(s std, read *config.Config, keys *seal.Keyring) error {
	d, err := store.Open(read.Database)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Ready(s.ctx); err != nil {
		return err
	}
	log := &audit.Log{DB: d, Keys: keys, Now: time.Now, File: read.Checkpoint}
	outside, there, err := log.Outside()
	if err != nil {
		return fmt.Errorf("the checkpoint file is not this log's: %w", err)
	}
	if there && log.CheckEpoch(s.ctx) == nil {
		return errors.New("nothing to accept: this database is not older than its checkpoint")
	}
	head, high, err := log.Head(s.ctx)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	if high.After(now) {
		now = high
	}
	voided, err := d.VoidRestored(s.ctx, now, func(tx *store.Tx, v store.Voided) error {
		return log.Tell(s.ctx, tx, now, "restore.accepted", map[string]string{
			"size": strconv.FormatInt(head.Size, 10), "signed": strconv.FormatInt(outside.Size, 10),
			"lost-root":  base64.StdEncoding.EncodeToString(outside.Root[:]),
			"challenges": strconv.FormatInt(v.Challenges, 10), "tokens": strconv.FormatInt(v.Tokens, 10),
		})
	})
	if err != nil {
		return err
	}
	aside := read.Checkpoint + ".before-" + stamp()
	signed, err := log.Renew(s.ctx, aside)
	if err != nil {
		return fmt.Errorf("what must not come back is void, but the checkpoint was not renewed; run it again: %w", err)
	}
	s.printf("void: %d challenges, %d tokens, %d backup codes, %d trusted devices; %d accounts moved on, %d counters full for a day\n",
		voided.Challenges, voided.Tokens, voided.BackupCodes, voided.Devices, voided.Accounts, voided.Counters)
	s.printf("the log goes on from a checkpoint of %d entries", signed.Size)
	if there {
		s.printf("; the one of %d is kept in %s", outside.Size, aside)
	}
	s.printf("\nnow do again by hand what was lost (docs/operations.md), then start the server\n")
	return nil
}
