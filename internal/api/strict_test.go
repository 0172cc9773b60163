package api

import (
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"
)

// What is taken is one JSON value that every reader understands alike.
func FuzzReadStrictly(f *testing.F) {
	for _, seed := range []string{
		`{"answer":{"code":"123456"}}`, `{"a":1,"a":2}`, `{"a":{"b":[{"c":1,"c":2}]}}`, `{} {}`, `[`, `nul`, "\"\xff\"", `{"\u0061":1,"a":2}`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var value any
		if readStrictly(data, &value) != nil {
			return
		}
		if !utf8.Valid(data) || !json.Valid(data) {
			t.Fatalf("took %q", data)
		}
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var again any
		if err := readStrictly(text, &again); err != nil || !reflect.DeepEqual(value, again) {
			t.Fatalf("%q was read as %s, and that as %v: %v", data, text, again, err)
		}
	})
}

func TestAFieldTwiceIsFoundHoweverItIsWritten(t *testing.T) {
	for text, want := range map[string]bool{
		`{"a":1,"b":{"a":2}}`: true, `{"a":1,"a":1}`: false, `{"a":1,"\u0061":2}`: false, `[{"b":[{"a":1,"a":2}]}]`: false, `[]`: true, `"a"`: true,
	} {
		var value any
		if got := readStrictly([]byte(text), &value) == nil; got != want {
			t.Errorf("%s: taken %v", text, got)
		}
	}
}
