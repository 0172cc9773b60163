package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/i18n"
	"github.com/wanbi/wanbi/internal/recovery"
)

type importCommand struct {
	inRealm
	File    string `arg:"" help:"CSV or JSON Lines; - reads standard input." placeholder:"FILE"`
	Format  string `help:"csv or jsonl; left out, by the file's ending." enum:"csv,jsonl," default:"" placeholder:"FORMAT"`
	Rejects string `help:"Where bad records are listed; left out, FILE.rejects.jsonl." placeholder:"FILE" type:"path"`
	DryRun  bool   `help:"Check every record, touch no database."`
	Resume  bool   `help:"Go on where an import of the same file was cut off, as FILE.progress says."`
}

// Help is what --help says beside the flags.
func (importCommand) Help() string {
	return `Each account is whole or not at all. One that is there already (same id) is brought up to date, so that a second run changes nothing; a password that was recovered here meanwhile stays, unless the file has another password_hash than the last time. Bad records stay out and keep no others out; they are listed with line, field and reason, never with their values.

CSV: UTF-8, the first line names the columns, in any order: id, locale (zh-CN or en), phone, email, more_phones and more_emails (values separated by ;), username, resident_id, real_name, password_hash (argon2id in PHC form, or bcrypt), last_sign_in_at and contact_changed_at (2026-03-05T09:00:00+08:00), locked (dormant, risk-alarm or violation). Only id and one of phone, email, username and resident_id are needed.

JSON Lines: one object on each line with the same names; more_phones and more_emails are lists.

A run that is cut off leaves FILE.progress, and --resume goes on from there. Without it everything is read again, which takes longer and changes nothing else.

Exit code 1: some records were rejected. 2: it could not go on; what was read before is in.

Example:

    wanbi import --realm yichuangtong accounts.csv --dry-run
    wanbi import --realm yichuangtong accounts.csv
    wanbi import --realm yichuangtong accounts.csv --resume`
}

// importBatch is how many records one transaction takes.
const importBatch = 1000

func (c importCommand) Run(s std) error {
	format, err := c.format()
	if err != nil {
		return err
	}
	if c.Resume && (c.DryRun || c.File == "-") {
		return errors.New("import: --resume is for a file that goes in")
	}
	in, name, progress := &counted{in: s.in}, "import", &progressFile{}
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("import: %w", err)
		}
		defer file.Close()
		in, name = countedFile(file), c.File
		if !c.DryRun {
			if progress, err = progressOf(file, c.Realm, c.Resume); err != nil {
				return fmt.Errorf("import: %w", err)
			}
		}
	}
	if c.Rejects == "" {
		c.Rejects = name + ".rejects.jsonl"
	}
	run := &importing{
		std: s, in: in, began: time.Now(), shown: newShown(s.err), reached: progress, prepare: checkOnly,
		rejects: &rejectFile{path: c.Rejects, keep: c.Resume},
	}
	if !c.DryRun {
		opened, err := c.open(s)
		if err != nil {
			return err
		}
		defer opened.Close()
		keys, err := c.keyFile(s)
		if err != nil {
			return err
		}
		run.prepare = func(records []account.Record) func() ([]account.Imported, error) {
			prepared, err := opened.Accounts.Prepare(s.ctx, recovery.Realm(c.Realm), records)
			return func() ([]account.Imported, error) {
				if err := errors.Join(err, keys.takeUp(opened.Keys)); err != nil {
					return nil, err
				}
				return opened.Accounts.Put(s.ctx, prepared)
			}
		}
	}
	read := account.ReadCSV
	if format == "jsonl" {
		read = account.ReadJSONLines
	}
	if err = run.all(read(in)); err == nil {
		err = progress.done()
	}
	err = errors.Join(err, run.rejects.close())
	run.summary(c.DryRun)
	switch {
	case err != nil:
		return fmt.Errorf("import: %s: %w", c.File, err)
	case run.rejects.count > 0:
		return found{fmt.Errorf("%d records were rejected; %s says which and why", run.rejects.count, c.Rejects)}
	}
	return nil
}

func (c importCommand) format() (string, error) {
	if c.Format != "" {
		return c.Format, nil
	}
	switch ending := strings.ToLower(filepath.Ext(c.File)); ending {
	case ".csv":
		return "csv", nil
	case ".jsonl", ".ndjson":
		return "jsonl", nil
	default:
		return "", fmt.Errorf("import: %s ends in neither .csv nor .jsonl: say --format csv or --format jsonl", c.File)
	}
}

// checkOnly says what Import would say of each record's form.
func checkOnly(records []account.Record) func() ([]account.Imported, error) {
	out := make([]account.Imported, len(records))
	for i, record := range records {
		out[i].Err = recovery.AsError(account.CheckRecord(record))
	}
	return func() ([]account.Imported, error) { return out, nil }
}

// importing is one run over a file. While a batch is written, the next one is read,
// checked and sealed.
type importing struct {
	std
	in      *counted
	prepare func([]account.Record) (put func() ([]account.Imported, error))
	rejects *rejectFile
	reached *progressFile
	began   time.Time
	shown   *shown

	read, created, updated int
}

// batch is what one transaction takes, and the lines among them that could not be read.
type batch struct {
	lines   []int // of the records
	records []account.Record
	unread  []account.Line
	last    int   // line that it ends on
	whole   bool  // more may follow
	err     error // follows it and ends the import
	put     func() ([]account.Imported, error)
}

// gather makes batches of the lines after one that is done already.
func gather(lines iter.Seq2[account.Line, error], done int) iter.Seq[batch] {
	return func(yield func(batch) bool) {
		var b batch
		for line, err := range lines {
			switch {
			case err != nil:
				b.err = err
				yield(b)
				return
			case line.Number <= done:
				continue
			case line.Err != nil:
				b.unread = append(b.unread, line)
			default:
				b.lines, b.records = append(b.lines, line.Number), append(b.records, line.Record)
			}
			b.last = line.Number
			if b.whole = max(len(b.records), len(b.unread)) == importBatch; b.whole {
				if !yield(b) {
					return
				}
				b = batch{}
			}
		}
		yield(b)
	}
}

// ahead prepares one batch while the one before it is with whoever takes them. It
// ends with the batches, or when stop is closed.
func (r *importing) ahead(batches iter.Seq[batch], stop <-chan struct{}) <-chan batch {
	out := make(chan batch)
	go func() {
		defer close(out)
		for b := range batches {
			b.put = r.prepare(b.records)
			select {
			case out <- b:
			case <-stop:
				return
			}
		}
	}()
	return out
}

// all reads to the end, or to the first failure that is not one record's.
func (r *importing) all(lines iter.Seq2[account.Line, error]) error {
	stop := make(chan struct{})
	defer close(stop)
	for b := range r.ahead(gather(lines, r.reached.was.Line), stop) {
		if err := errors.Join(r.bring(b), b.err); err != nil {
			return err
		}
		if !b.whole {
			return nil
		}
		if err := errors.Join(r.rejects.flush(), r.reached.reached(b.last)); err != nil {
			return err
		}
		if r.ctx.Err() != nil {
			return errors.New("stopped; what was read before is in")
		}
	}
	return nil
}

// bring writes a batch and lists what is wrong with its records.
func (r *importing) bring(b batch) error {
	results, err := b.put()
	if err != nil {
		return err
	}
	rejects := b.unread
	for i, result := range results {
		switch {
		case result.Err != nil:
			rejects = append(rejects, account.Line{Number: b.lines[i], Err: result.Err})
		case result.Created:
			r.created++
		default:
			r.updated++
		}
	}
	slices.SortFunc(rejects, func(a, b account.Line) int { return cmp.Compare(a.Number, b.Number) })
	for _, one := range rejects {
		if err := r.rejects.add(one.Number, one.Err); err != nil {
			return err
		}
	}
	r.read += len(b.records) + len(b.unread)
	r.shown.say(r.progress)
	return nil
}

// progress says how far it came, how fast, and how long it still takes if it goes on so.
func (r *importing) progress() string {
	took := time.Since(r.began)
	text := fmt.Sprintf("%d read, %d rejected, %.0f a second", r.read, r.rejects.count, float64(r.read)/max(took.Seconds(), 0.001))
	return text + r.in.left(took)
}

func (r *importing) summary(dry bool) {
	r.shown.end()
	took := time.Since(r.began).Round(10 * time.Millisecond)
	if dry {
		r.printf("%d records read, %d would go in, %d rejected, in %s; nothing was changed\n", r.read, r.updated, r.rejects.count, took)
		return
	}
	r.printf("%d records read: %d new, %d brought up to date, %d rejected, in %s\n", r.read, r.created, r.updated, r.rejects.count, took)
}

// rejectFile lists bad records. It is there only when there are any.
type rejectFile struct {
	path  string
	count int
	keep  bool // go on after what an earlier run listed

	file *os.File
	out  *bufio.Writer
}

// reject is one line of the file: never a value, because reject files travel.
type reject struct {
	Line    int    `json:"line"`
	Field   string `json:"field,omitempty"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (f *rejectFile) add(line int, e *recovery.Error) error {
	if f.file == nil {
		how := os.O_TRUNC
		if f.keep {
			how = os.O_APPEND
		}
		file, err := os.OpenFile(f.path, os.O_CREATE|how|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("rejects: %w", err)
		}
		f.file, f.out = file, bufio.NewWriter(file)
	}
	f.count++
	args := map[string]any{}
	for _, name := range i18n.Placeholders(e.Key) {
		args[name] = strings.ReplaceAll(e.Field, "_", " ") // what the text is about, when nobody said more
	}
	for name, value := range e.Args {
		args[name] = value
	}
	text, err := json.Marshal(reject{
		Line: line, Field: e.Field, Code: e.Key, Message: i18n.Problem(i18n.English, e.Key, args, e.RetryAfter),
	})
	if err != nil {
		return err
	}
	_, err = f.out.Write(append(text, '\n'))
	return err
}

// flush hands what was listed to the system.
func (f *rejectFile) flush() error {
	if f.file == nil {
		return nil
	}
	return f.out.Flush()
}

// close finishes the file. One that an earlier run left goes when nothing was
// rejected now, so that it cannot be taken for this run's.
func (f *rejectFile) close() error {
	if f.file != nil {
		return errors.Join(f.out.Flush(), f.file.Close())
	}
	if f.keep {
		return nil
	}
	if err := os.Remove(f.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
