package account

import (
	"bytes"
	"io"
	"iter"
	"reflect"
	"strings"
	"testing"
	"time"
)

func at(t *testing.T, text string) *time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return &parsed
}

// collect reads to the end or to the first failure of the file.
func collect(lines iter.Seq2[Line, error]) (all []Line, err error) {
	for line, err := range lines {
		if err != nil {
			return all, err
		}
		all = append(all, line)
	}
	return all, nil
}

// told is a line as the tests write it: its number and its record or its problem.
type told struct {
	number int
	record Record
	key    string // of the problem
	field  string
}

func compare(t *testing.T, got []Line, want []told) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records: %v, want %d", len(got), got, len(want))
	}
	for i, w := range want {
		line := got[i]
		if line.Number != w.number {
			t.Errorf("record %d is on line %d, want %d", i, line.Number, w.number)
		}
		if w.key != "" {
			if line.Err == nil || line.Err.Key != w.key || line.Err.Field != w.field {
				t.Errorf("line %d: %v, want %s at %q", w.number, line.Err, w.key, w.field)
			}
			continue
		}
		if line.Err != nil || !reflect.DeepEqual(line.Record, w.record) {
			t.Errorf("line %d: %+v, %v, want %+v", w.number, line.Record.ID, line.Err, w.record.ID)
		}
	}
}

func TestReadCSV(t *testing.T) {
	signedIn := at(t, "2026-03-05T09:00:00+08:00")
	for name, c := range map[string]struct {
		in   string
		want []told
	}{
		"only a header": {"id,phone\n", nil},
		"any order of columns": {"phone,id\n13800001234,a\n", []told{
			{number: 2, record: Record{ID: "a", Phone: "13800001234"}},
		}},
		"every column": {
			"id,locale,phone,email,more_phones,more_emails,username,resident_id,real_name,password_hash,last_sign_in_at,contact_changed_at,locked\n" +
				"a,en,1,2,3; 4 ;,5,6,7,8,9,2026-03-05T09:00:00+08:00,2026-03-05T09:00:00+08:00,dormant\n",
			[]told{{number: 2, record: Record{
				ID: "a", Locale: "en", Phone: "1", Email: "2", MorePhones: []string{"3", "4"}, MoreEmails: []string{"5"}, Username: "6",
				ResidentID: "7", RealName: "8", PasswordHash: "9", LastSignInAt: signedIn, ContactChangedAt: signedIn, Locked: "dormant",
			}}},
		},
		"a byte-order mark": {"\ufeffid\na\n", []told{{number: 2, record: Record{ID: "a"}}}},
		"line ends of Windows, none at the end": {"id\r\na\r\nb", []told{
			{number: 2, record: Record{ID: "a"}}, {number: 3, record: Record{ID: "b"}},
		}},
		"empty lines are skipped and counted": {"id,username\n\na,x\n\n\nb,y\n", []told{
			{number: 3, record: Record{ID: "a", Username: "x"}}, {number: 6, record: Record{ID: "b", Username: "y"}},
		}},
		"quoted values over several lines": {"id,real_name\na,\"one\ntwo\nthree\"\nb,four\n", []told{
			{number: 2, record: Record{ID: "a", RealName: "one\ntwo\nthree"}}, {number: 5, record: Record{ID: "b", RealName: "four"}},
		}},
		"a comma and a quote inside quotes": {"id,real_name\na,\"x, \"\"y\"\"\"\n", []told{
			{number: 2, record: Record{ID: "a", RealName: `x, "y"`}},
		}},
		"too few and too many cells": {"id,username\na\nb,x,y\nc,z\n", []told{
			{number: 2, key: "error.import.columns"},
			{number: 3, key: "error.import.columns"},
			{number: 4, record: Record{ID: "c", Username: "z"}},
		}},
		"a quote out of place": {"id,username\na,x\"y\n\"b\"c,y\nd,z\n", []told{
			{number: 2, key: "error.import.quote"},
			{number: 3, key: "error.import.quote"},
			{number: 4, record: Record{ID: "d", Username: "z"}},
		}},
		"a quote that is not closed": {"id,username\na,\"x\nb,y\n", []told{{number: 2, key: "error.import.quote"}}},
		"times without a zone or as words": {"id,last_sign_in_at,contact_changed_at\na,2026-03-05T09:00:00,\nb,,yesterday\nc,,\n", []told{
			{number: 2, key: "error.import.time", field: "last_sign_in_at"},
			{number: 3, key: "error.import.time", field: "contact_changed_at"},
			{number: 4, record: Record{ID: "c"}},
		}},
		"a name in another encoding": {"id,real_name\na,\xc0\xee\xc0\xd7\nb,x\n", []told{
			{number: 2, key: "error.import.utf8", field: "real_name"}, {number: 3, record: Record{ID: "b", RealName: "x"}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := collect(ReadCSV(strings.NewReader(c.in)))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, got, c.want)
		})
	}
}

func TestReadCSVRefusesAFileWhoseHeaderItDoesNotKnow(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"nothing in it":     {"", "the first line names the columns"},
		"an unknown column": {"id,telephone\n", `no column is called "telephone"; there are id, locale, phone, email`},
		"no header at all":  {"1001,13800001234\n", `no column is called "1001"`},
		"a column twice":    {"id,phone,id\n", "column id is there twice"},
		"no column id":      {"phone,email\n", "there is no column id"},
		"a broken header":   {"id,\"pho\"ne\n", "the names of the columns"},
		"a quote to the end": {
			"id,real_name\na,\"" + strings.Repeat("x\n", maxLine), "is a quote not closed?",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := collect(ReadCSV(strings.NewReader(c.in)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v, want an error with %q", got, err, c.want)
			}
		})
	}
}

func TestReadJSONLines(t *testing.T) {
	signedIn := at(t, "2026-03-05T09:00:00+08:00")
	long := func(n int) string { return `{"id":"` + strings.Repeat("x", n-len(`{"id":""}`)-1) + "\"}\n" }
	for name, c := range map[string]struct {
		in   string
		want []told
	}{
		"nothing": {"", nil},
		"every field": {
			`{"id":"a","locale":"en","phone":"1","email":"2","more_phones":["3"],"more_emails":["4"],"username":"5","resident_id":"6",` +
				`"real_name":"7","password_hash":"8","last_sign_in_at":"2026-03-05T09:00:00+08:00","locked":"violation"}`,
			[]told{{number: 1, record: Record{
				ID: "a", Locale: "en", Phone: "1", Email: "2", MorePhones: []string{"3"}, MoreEmails: []string{"4"}, Username: "5",
				ResidentID: "6", RealName: "7", PasswordHash: "8", LastSignInAt: signedIn, Locked: "violation",
			}}},
		},
		"a byte-order mark, spaces and empty lines": {"\ufeff {\"id\":\"a\"} \r\n\n\t\n{\"id\":\"b\"}\n", []told{
			{number: 1, record: Record{ID: "a"}}, {number: 4, record: Record{ID: "b"}},
		}},
		"an unknown field": {"{\"id\":\"a\",\"telephone\":\"1\"}\n{\"id\":\"b\"}\n", []told{
			{number: 1, key: "error.import.field", field: "telephone"}, {number: 2, record: Record{ID: "b"}},
		}},
		"a value of another kind": {`{"id":1001}`, []told{{number: 1, key: "error.import.type", field: "id"}}},
		"a list as a word":        {`{"id":"a","more_phones":"1"}`, []told{{number: 1, key: "error.import.type", field: "more_phones"}}},
		"a time without a zone":   {`{"id":"a","last_sign_in_at":"2026-03-05T09:00:00"}`, []told{{number: 1, key: "error.import.time"}}},
		"a time as a number":      {`{"id":"a","last_sign_in_at":1772672400}`, []told{{number: 1, key: "error.import.time"}}},
		"an object that breaks off": {"{\"id\":\"a\"\n{\"id\":\"b\"}\n", []told{
			{number: 1, key: "error.import.json"}, {number: 2, record: Record{ID: "b"}},
		}},
		"two objects on a line": {`{"id":"a"} {"id":"b"}`, []told{{number: 1, key: "error.import.json"}}},
		"a list of objects":     {`[{"id":"a"}]`, []told{{number: 1, key: "error.import.json"}}},
		"another encoding":      {"{\"id\":\"\xc0\xee\"}\n", []told{{number: 1, key: "error.import.utf8"}}},
		"the longest line":      {long(maxLine) + `{"id":"b"}`, []told{{number: 1, record: Record{ID: strings.Repeat("x", maxLine-len(`{"id":""}`)-1)}}, {number: 2, record: Record{ID: "b"}}}},
		"one byte longer":       {long(maxLine+1) + `{"id":"b"}`, []told{{number: 1, key: "error.import.long"}, {number: 2, record: Record{ID: "b"}}}},
		"too long at the end":   {strings.Repeat("x", 3*maxLine), []told{{number: 1, key: "error.import.long"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := collect(ReadJSONLines(strings.NewReader(c.in)))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, got, c.want)
		})
	}
}

// breaksOff fails after a few bytes, as a disk can.
type breaksOff struct{ text io.Reader }

func (b breaksOff) Read(p []byte) (int, error) {
	n, err := b.text.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func TestReadersTellWhenTheFileFails(t *testing.T) {
	for name, lines := range map[string]iter.Seq2[Line, error]{
		"CSV":        ReadCSV(breaksOff{strings.NewReader("id\na\nb\n")}),
		"JSON Lines": ReadJSONLines(breaksOff{strings.NewReader("{\"id\":\"a\"}\n{\"id\":\"b\"}\n")}),
	} {
		if got, err := collect(lines); err == nil || len(got) != 2 {
			t.Errorf("%s: %d records and %v, want two and an error", name, len(got), err)
		}
	}
}

// What is wrong with a value is said without the value: reject files travel.
func TestProblemsOfALineNameNoValue(t *testing.T) {
	for _, in := range []string{
		`{"id":"a","phone":13800001234}`, `{"id":"a","last_sign_in_at":"13800001234"}`, `{"id":"a","phone":"13800001234"`,
	} {
		for line := range ReadJSONLines(strings.NewReader(in)) {
			if line.Err == nil || strings.Contains(line.Err.Error()+line.Err.Field, "1380") {
				t.Errorf("%s: %v at %q", in, line.Err, line.Err.Field)
			}
		}
	}
}

// Whatever is in a file: reading it ends, lines go up, and a record that is taken
// has an ID that stands in one line and contacts that are addresses.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"id,phone,email\n1,13800001234,li@example.cn\n", "\ufeffid\n\"a\nb\"\n", "id,id\n", "id;phone\n", `{"id":"1","email":"a@example.cn"}` + "\n{}\n[", "\xff\n\x00",
		"id,more_emails,last_sign_in_at\n1,a@example.cn;b@example.cn,2026-03-01T00:00:00Z\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, read := range []func(io.Reader) iter.Seq2[Line, error]{ReadCSV, ReadJSONLines} {
			last := 0
			for line, err := range read(bytes.NewReader(file)) {
				if err != nil {
					break
				}
				if line.Number <= last && line.Err == nil {
					t.Fatalf("line %d after line %d", line.Number, last)
				}
				last = line.Number
				if line.Err != nil {
					continue
				}
				c, err := check(line.Record)
				if err != nil {
					continue
				}
				if strings.ContainsAny(c.ID, "\r\n\x00") || len(c.identifiers) == 0 {
					t.Fatalf("taken: %q", c.ID)
				}
				for _, contact := range c.contacts {
					if strings.ContainsAny(contact.Value, " ,;<>\r\n\x00") {
						t.Fatalf("a contact is %q", contact.Value)
					}
				}
			}
		}
	})
}
