package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// errMalformed says nothing of what was sent.
var errMalformed = errors.New("not one JSON value in UTF-8 with each field once")

// readStrictly decodes a body. Text that is not UTF-8 and fields that are there
// twice are refused, because two readers of them may understand two things (T2).
func readStrictly(data []byte, into any) error {
	if !utf8.Valid(data) || json.Unmarshal(data, into) != nil {
		return errMalformed
	}
	if _, first := into.(*any); !first {
		return nil // the same bytes were walked through already
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if twice(decoder) {
		return errMalformed
	}
	return nil
}

// twice reads one value and reports whether an object in it has a field twice.
func twice(decoder *json.Decoder) bool {
	token, err := decoder.Token()
	if err != nil {
		return true
	}
	opening, ok := token.(json.Delim)
	if !ok {
		return false
	}
	seen := map[string]bool{}
	for decoder.More() {
		if opening == '{' {
			name, err := decoder.Token()
			text, ok := name.(string)
			if err != nil || !ok || seen[text] {
				return true
			}
			seen[text] = true
		}
		if twice(decoder) {
			return true
		}
	}
	_, err = decoder.Token() // the closing one
	return err != nil
}
