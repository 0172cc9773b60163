package account

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wanbi/wanbi/internal/recovery"
)

// column sets one field of a record from the text of a CSV cell.
type column struct {
	name string
	set  func(r *Record, cell string) *recovery.Error
}

// columns are the ones that a CSV file may have, in the order in which an error
// lists them.
var columns = []column{
	text("id", func(r *Record) *string { return &r.ID }),
	text("locale", func(r *Record) *string { return &r.Locale }),
	text("phone", func(r *Record) *string { return &r.Phone }),
	text("email", func(r *Record) *string { return &r.Email }),
	list("more_phones", func(r *Record) *[]string { return &r.MorePhones }),
	list("more_emails", func(r *Record) *[]string { return &r.MoreEmails }),
	text("username", func(r *Record) *string { return &r.Username }),
	text("resident_id", func(r *Record) *string { return &r.ResidentID }),
	text("real_name", func(r *Record) *string { return &r.RealName }),
	text("password_hash", func(r *Record) *string { return &r.PasswordHash }),
	instant("last_sign_in_at", func(r *Record) **time.Time { return &r.LastSignInAt }),
	instant("contact_changed_at", func(r *Record) **time.Time { return &r.ContactChangedAt }),
	text("locked", func(r *Record) *string { return &r.Locked }),
}

func text(name string, field func(*Record) *string) column {
	return column{name, func(r *Record, cell string) *recovery.Error {
		*field(r) = cell
		return nil
	}}
}

// list reads values with a semicolon between them.
func list(name string, field func(*Record) *[]string) column {
	return column{name, func(r *Record, cell string) *recovery.Error {
		for part := range strings.SplitSeq(cell, ";") {
			if part = strings.TrimSpace(part); part != "" {
				*field(r) = append(*field(r), part)
			}
		}
		return nil
	}}
}

// instant reads a time as RFC 3339 writes it, zone included.
func instant(name string, field func(*Record) **time.Time) column {
	return column{name, func(r *Record, cell string) *recovery.Error {
		if cell == "" {
			return nil
		}
		at, err := time.Parse(time.RFC3339, cell)
		if err != nil {
			return recovery.BadInput("error.import.time").At(name)
		}
		*field(r) = &at
		return nil
	}}
}

// ReadCSV reads records from comma-separated values in UTF-8 (RFC 4180). The
// first line names the columns, in any order: id, locale, phone, email,
// more_phones and more_emails (values separated by ;), username, resident_id,
// real_name, password_hash, last_sign_in_at and contact_changed_at (RFC 3339),
// locked. The error ends the reading: the header or the file itself is at fault.
func ReadCSV(in io.Reader) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		bounded := &bounded{in: in}
		buffered := bufio.NewReader(bounded)
		if start, _ := buffered.Peek(len(bom)); string(start) == bom {
			_, _ = buffered.Discard(len(bom)) // it was peeked at
		}
		cells := csv.NewReader(buffered)
		cells.ReuseRecord = true
		header, err := readHeader(cells)
		if err != nil {
			yield(Line{Number: 1}, err)
			return
		}
		for {
			bounded.read = 0
			line, err := readCells(cells, header)
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(line, err) || err != nil {
				return
			}
		}
	}
}

// readHeader gives the column of each cell.
func readHeader(cells *csv.Reader) ([]column, error) {
	names, err := cells.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("nothing in it: the first line names the columns")
	}
	if err != nil {
		return nil, fmt.Errorf("line 1: the names of the columns: %w", err)
	}
	known := make([]string, len(columns))
	for i, c := range columns {
		known[i] = c.name
	}
	header := make([]column, 0, len(names))
	for i, name := range names {
		name = strings.TrimSpace(name)
		at := slices.Index(known, name)
		if at < 0 {
			return nil, fmt.Errorf("line 1: no column is called %q; there are %s", shortName(name), strings.Join(known, ", "))
		}
		if slices.ContainsFunc(header[:i], func(c column) bool { return c.name == name }) {
			return nil, fmt.Errorf("line 1: column %s is there twice", name)
		}
		header = append(header, columns[at])
	}
	if !slices.ContainsFunc(header, func(c column) bool { return c.name == "id" }) {
		return nil, errors.New("line 1: there is no column id")
	}
	return header, nil
}

// readCells reads the next record. The error is io.EOF, or the file's.
func readCells(cells *csv.Reader, header []column) (Line, error) {
	values, err := cells.Read()
	var broken *csv.ParseError
	switch {
	case errors.Is(err, errLongRecord):
		return Line{}, fmt.Errorf("a record of more than %d KiB, after byte %d: is a quote not closed?", maxLine>>10, cells.InputOffset())
	case errors.As(err, &broken):
		key := "error.import.quote"
		if errors.Is(err, csv.ErrFieldCount) {
			key = "error.import.columns"
		}
		return Line{Number: broken.StartLine, Err: recovery.BadInput(key)}, nil
	case err != nil:
		return Line{}, err
	}
	var line Line
	line.Number, _ = cells.FieldPos(0)
	for i, value := range values {
		if !utf8.ValidString(value) {
			line.Err = recovery.BadInput("error.import.utf8").At(header[i].name)
			return line, nil
		}
		if err := header[i].set(&line.Record, strings.Clone(value)); err != nil {
			line.Err = err
			return line, nil
		}
	}
	return line, nil
}

var errLongRecord = errors.New("record too long")

// bounded refuses to read on when one record has taken more than a line may
// have, since a quote that is not closed would take the rest of the file.
type bounded struct {
	in   io.Reader
	read int
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.read > maxLine {
		return 0, errLongRecord
	}
	n, err := b.in.Read(p)
	b.read += n
	return n, err
}
