package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/server"
	"github.com/wanbi/wanbi/internal/store/db"
)

type exportCommand struct {
	inRealm
	Output string `help:"Write to this file, readable by its owner only; left out, to standard output." placeholder:"FILE" short:"o" type:"path"`
	Resume bool   `help:"Go on with the file of an export that was cut off."`
}

// Help is what --help says beside the flags.
func (exportCommand) Help() string {
	return `Writes one JSON object for each account, in the form that import takes back: names, contacts, facts, the last sign-in, and a lock that the host set. A password hash is there as long as it is the one that the host brought (argon2id or bcrypt); after the first sign-in here it is bound to this installation's keys, and left out. Left out is also what is not an account: cases, records, devices, backup codes.

The file is PERSONAL DATA IN THE CLEAR. Keep it as you keep the key file, send it over nothing that is not encrypted, and delete it when it was used.

It may run while the server does, and takes as much memory for a million accounts as for one. An account that comes while it runs may be missing.

Example:

    wanbi export --realm yichuangtong --output accounts.jsonl`
}

func (c exportCommand) Run(s std) error {
	if c.Resume && c.Output == "" {
		return errors.New("--resume goes on with a file: name it with --output")
	}
	opened, err := c.open(s)
	if err != nil {
		return err
	}
	defer opened.Close()
	to, after, count := s.out, recovery.AccountID(""), 0
	if c.Output != "" {
		file, err := c.file()
		if err != nil {
			return err
		}
		defer file.Close()
		if c.Resume {
			if after, count, err = goOn(s, file, opened, recovery.Realm(c.Realm)); err != nil {
				return err
			}
		}
		to = file
	}
	fmt.Fprintln(s.err, "what is written is personal data in the clear: keep it as you keep the key file, and delete it after use")
	out := bufio.NewWriter(to)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	shown := newShown(s.err)
	for record, err := range opened.Accounts.ExportAfter(s.ctx, recovery.Realm(c.Realm), after) {
		if err == nil {
			err = lines.Encode(record)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("export, after %d accounts: %w", count, err), out.Flush())
		}
		count++
		shown.say(func() string { return fmt.Sprintf("%d accounts", count) })
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if file, ok := to.(*os.File); ok && c.Output != "" {
		if err := file.Sync(); err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	shown.end()
	fmt.Fprintf(s.err, "%d accounts\n", count)
	return nil
}

// file opens the output: a new one, or with --resume one that is there.
func (c exportCommand) file() (*os.File, error) {
	flags := os.O_CREATE | os.O_EXCL | os.O_WRONLY
	if c.Resume {
		flags = os.O_RDWR
	}
	file, err := os.OpenFile(c.Output, flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	info, err := file.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = fmt.Errorf("%s can be read by others (mode %04o): chmod 600 it", c.Output, info.Mode().Perm())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("export: %w", err), file.Close())
	}
	return file, nil
}

// goOn cuts off half a line at the end and gives the account of the last whole
// one, with how many there are.
func goOn(s std, file *os.File, opened *server.Server, realm recovery.Realm) (last recovery.AccountID, count int, err error) {
	reader, whole := bufio.NewReader(file), int64(0)
	var line []byte
	for {
		text, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", 0, fmt.Errorf("export: %w", err)
		}
		line, whole, count = text, whole+int64(len(text)), count+1
	}
	if err := file.Truncate(whole); err != nil {
		return "", 0, fmt.Errorf("export: %w", err)
	}
	if _, err := file.Seek(whole, io.SeekStart); err != nil || count == 0 {
		return "", 0, err
	}
	var record account.Record
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&record); err != nil {
		return "", 0, fmt.Errorf("line %d of %s is no account: is it an export?", count, file.Name())
	}
	found := false
	err = opened.DB.Read(s.ctx, func(q *db.Queries) (err error) {
		last, found, err = opened.Accounts.FindHostID(s.ctx, q, realm, record.ID)
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("line %d of %s is no account of realm %s: begin again without --resume", count, file.Name(), realm)
	}
	return last, count, err
}
