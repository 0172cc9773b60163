package account

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/wanbi/wanbi/internal/recovery"
)

// Line is one record of an import file.
type Line struct {
	Number int // of the line that it begins on, from 1
	Record Record
	// Err is what is wrong with this record alone; the ones after it can still be
	// read. It names the field where that is known and never a value.
	Err *recovery.Error
}

// maxLine is the longest record that is read, in bytes. Ours: forty times what
// the largest record that [Service.Import] takes can need.
const maxLine = 1 << 20

// bom is what some programs put before UTF-8 text.
const bom = "\ufeff"

// CheckRecord says what is wrong with a record, without a database: what Import
// would say, or nil.
func CheckRecord(r Record) error {
	_, err := check(r)
	return err
}

// ReadJSONLines reads one record from each line, {"id": "1001", "phone": …}, with
// the fields of [Record] and no others. Empty lines are skipped, and a byte-order
// mark before the first. The error ends the reading: the file itself failed.
func ReadJSONLines(in io.Reader) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		lines := bufio.NewReaderSize(in, 64<<10)
		for number := 1; ; number++ {
			text, tooLong, err := nextLine(lines)
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Line{Number: number}, fmt.Errorf("line %d: %w", number, err))
				return
			}
			if number == 1 {
				text = bytes.TrimPrefix(text, []byte(bom))
			}
			text = bytes.TrimSpace(text)
			line := Line{Number: number}
			switch {
			case tooLong:
				line.Err = recovery.BadInput("error.import.long")
			case len(text) == 0:
				if err != nil {
					return
				}
				continue
			default:
				line.Record, line.Err = parseJSON(text)
			}
			if !yield(line, nil) || err != nil {
				return
			}
		}
	}
}

// nextLine gives one line without holding more than maxLine of it; the rest of a
// longer one is read past. The error is io.EOF with the last line.
func nextLine(in *bufio.Reader) (text []byte, tooLong bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(text)+len(part) > maxLine {
			tooLong, text = true, nil
		}
		if !tooLong {
			text = append(text, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, tooLong, err
		}
	}
}

func parseJSON(text []byte) (Record, *recovery.Error) {
	if !utf8.Valid(text) { // the decoder would replace what it cannot read
		return Record{}, recovery.BadInput("error.import.utf8")
	}
	if text[0] != '{' {
		return Record{}, recovery.BadInput("error.import.json")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var r Record
	if err := decoder.Decode(&r); err != nil {
		return Record{}, jsonProblem(err)
	}
	if decoder.InputOffset() != int64(len(text)) {
		return Record{}, recovery.BadInput("error.import.json") // a second value on the line
	}
	return r, nil
}

// jsonProblem says what the decoder said, less the values it quotes.
func jsonProblem(err error) *recovery.Error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return recovery.BadInput("error.import.type").At(kind.Field)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return recovery.BadInput("error.import.field").At(shortName(strings.Trim(name, `"`)))
	}
	// A time is the one field that reads its own text, and its error has no type.
	if strings.HasPrefix(err.Error(), "parsing time ") || strings.HasPrefix(err.Error(), "Time.UnmarshalJSON") {
		return recovery.BadInput("error.import.time")
	}
	return recovery.BadInput("error.import.json")
}

// shortName bounds a name that stands in a file where a field should.
func shortName(name string) string {
	const most = 40
	if runes := []rune(name); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return name
}
