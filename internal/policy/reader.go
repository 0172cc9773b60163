package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// The bounds of a file. Ours: the largest shipped policy has 8 KiB and 7 levels.
const (
	maxBytes = 256 << 10
	maxDepth = 16
)

// reader turns one YAML document into a struct and refuses everything it does
// not know. It goes on after a problem, so that one run names them all.
type reader struct {
	file     string
	lines    map[string]int // path → line of what was written there
	problems Errors
}

func (r *reader) problem(line int, path, format string, args ...any) {
	r.problems = append(r.problems, Problem{File: r.file, Line: max(line, 1), Path: path, Message: fmt.Sprintf(format, args...)})
}

// read fills into, a pointer to a struct, with the text and the defaults.
func (r *reader) read(text []byte, into any) {
	r.lines = map[string]int{"": 1}
	root := r.parse(text)
	if root == nil || !r.plain(root, 1) {
		return
	}
	r.value(root, "", reflect.ValueOf(into).Elem(), "")
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// parse gives the root of the only document, or nil after a problem.
func (r *reader) parse(text []byte) *yaml.Node {
	if len(text) > maxBytes {
		r.problem(1, "", "larger than %d KiB", maxBytes>>10)
		return nil
	}
	if !utf8.Valid(text) {
		r.problem(1, "", "not UTF-8")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		r.problem(1, "", "nothing in it")
		return nil
	}
	if err == nil {
		switch err = decoder.Decode(&second); {
		case err == nil:
			r.problem(second.Line, "", "a second document: one file holds one")
			return nil
		case errors.Is(err, io.EOF):
			return document.Content[0]
		}
	}
	message, line := err.Error(), 1
	if parts := yamlLine.FindStringSubmatch(message); parts != nil {
		if n, err := strconv.Atoi(parts[1]); err == nil {
			line = n
		}
		message = message[len(parts[0]):]
	}
	// The library counts some of these from 0 and some from 1.
	r.problem(line, "", "no YAML, here or on the next line: %s", message)
	return nil
}

// plain refuses what makes a file mean something else than it shows: anchors,
// aliases, tags; and depth. Nothing else is looked at after one of these.
func (r *reader) plain(node *yaml.Node, depth int) bool {
	switch {
	case depth > maxDepth && node.Kind != yaml.ScalarNode:
		r.problem(node.Line, "", "more than %d levels deep", maxDepth)
		return false
	case node.Kind == yaml.AliasNode:
		r.problem(node.Line, "", "alias *%s: write the value itself", node.Value)
		return false
	case node.Anchor != "":
		r.problem(node.Line, "", "anchor &%s: anchors are not read", node.Anchor)
		return false
	case node.Style&yaml.TaggedStyle != 0:
		r.problem(node.Line, "", "tag %s: tags are not read", node.Tag)
		return false
	}
	ok := true
	for _, child := range node.Content {
		ok = r.plain(child, depth+1) && ok
	}
	return ok
}

var durationType = reflect.TypeFor[Duration]()

// value reads one node into a Go value; tag is the tag of the field it is in.
func (r *reader) value(node *yaml.Node, path string, into reflect.Value, tag reflect.StructTag) {
	if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" {
		r.problem(node.Line, path, "no value: leave the key out (and quote a value that begins with #)")
		return
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		r.value(node, path, into.Elem(), tag)
	case reflect.Struct:
		r.structure(node, path, into)
	case reflect.Map:
		r.mapping(node, path, into)
	case reflect.Slice:
		r.list(node, path, into, tag)
	default:
		r.scalar(node, path, into, tag)
	}
}

// pairs calls each for every key of a mapping once.
func (r *reader) pairs(node *yaml.Node, path string, each func(key, value *yaml.Node)) {
	if node.Kind != yaml.MappingNode {
		r.problem(node.Line, path, "write keys and values here, not %s", kindWord(node))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			r.problem(key.Line, path, "a key is one word, not %s", kindWord(key))
			continue
		}
		if first, twice := seen[key.Value]; twice {
			r.problem(key.Line, path, "%q again, first on line %d", key.Value, first)
			continue
		}
		seen[key.Value] = key.Line
		each(key, value)
	}
}

func (r *reader) structure(node *yaml.Node, path string, into reflect.Value) {
	known := fieldsByKey(into.Type())
	keys := make([]string, 0, len(known))
	for key := range known {
		keys = append(keys, key)
	}
	given := map[string]bool{}
	r.pairs(node, path, func(key, value *yaml.Node) {
		field, ok := known[key.Value]
		if !ok {
			r.problem(key.Line, path, "unknown key %q%s", key.Value, didYouMean(key.Value, keys))
			return
		}
		given[key.Value] = true
		r.lines[join(path, key.Value)] = key.Line
		r.value(value, join(path, key.Value), into.FieldByIndex(field.Index), field.Tag)
	})
	for key, field := range known {
		if !given[key] {
			fillDefault(into.FieldByIndex(field.Index), field.Tag)
		}
	}
}

func (r *reader) mapping(node *yaml.Node, path string, into reflect.Value) {
	into.Set(reflect.MakeMap(into.Type()))
	r.pairs(node, path, func(key, value *yaml.Node) {
		element := reflect.New(into.Type().Elem()).Elem()
		r.lines[join(path, key.Value)] = key.Line
		r.value(value, join(path, key.Value), element, "")
		into.SetMapIndex(reflect.ValueOf(key.Value).Convert(into.Type().Key()), element)
	})
}

func (r *reader) list(node *yaml.Node, path string, into reflect.Value, tag reflect.StructTag) {
	if node.Kind != yaml.SequenceNode {
		r.problem(node.Line, path, "write a list here, not %s", kindWord(node))
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(node.Content), len(node.Content)))
	for i, item := range node.Content {
		itemPath := join(path, strconv.Itoa(i))
		r.lines[itemPath] = item.Line
		r.value(item, itemPath, into.Index(i), tag)
	}
}

var wholeNumber = regexp.MustCompile(`^(0|[1-9]\d{0,8})$`)

func (r *reader) scalar(node *yaml.Node, path string, into reflect.Value, tag reflect.StructTag) {
	wrong := func(want string) { r.problem(node.Line, path, "write %s here, not %s", want, kindWord(node)) }
	if node.Kind != yaml.ScalarNode {
		wrong("one value")
		return
	}
	if into.Type() == durationType {
		d, err := ParseDuration(node.Value)
		if err != nil {
			r.problem(node.Line, path, "%v", err)
			return
		}
		into.SetInt(int64(d))
		r.within(node, path, d, tag)
		return
	}
	switch into.Kind() {
	case reflect.String:
		if node.ShortTag() != "!!str" {
			r.problem(node.Line, path, "put %s in quotes", strings.Trim(kindWord(node), `"`))
			return
		}
		into.SetString(node.Value)
		r.oneOf(node, path, tag)
	case reflect.Int:
		if !wholeNumber.MatchString(node.Value) || node.ShortTag() != "!!int" {
			wrong("a whole number")
			return
		}
		n, _ := strconv.ParseInt(node.Value, 10, 64) // nine digits always fit
		into.SetInt(n)
		r.within(node, path, n, tag)
	case reflect.Bool:
		if node.ShortTag() != "!!bool" {
			wrong("true or false")
			return
		}
		into.SetBool(strings.EqualFold(node.Value, "true"))
	default:
		panic("policy: no reading of " + into.Type().String())
	}
}

// within holds a number or duration against the least and most of its field.
func (r *reader) within(node *yaml.Node, path string, value any, tag reflect.StructTag) {
	size := func(text string) int64 {
		field := reflect.New(reflect.TypeOf(value)).Elem()
		setText(field, text)
		return field.Int()
	}
	n := reflect.ValueOf(value).Int()
	if least, ok := tag.Lookup("least"); ok && n < size(least) {
		r.problem(node.Line, path, "%v is below the least, %s", value, least)
	}
	if most, ok := tag.Lookup("most"); ok && n > size(most) {
		r.problem(node.Line, path, "%v is above the most, %s", value, most)
	}
}

// oneOf holds a word against the known ones of its field.
func (r *reader) oneOf(node *yaml.Node, path string, tag reflect.StructTag) {
	list, ok := tag.Lookup("oneof")
	if !ok {
		return
	}
	known := strings.Split(list, ",")
	for _, word := range known {
		if word == node.Value {
			return
		}
	}
	r.problem(node.Line, path, "unknown word %s: one of %s%s", kindWord(node), strings.Join(known, ", "), didYouMean(node.Value, known))
}

// fillDefault sets a field that was left out, and the fields inside it.
func fillDefault(field reflect.Value, tag reflect.StructTag) {
	if text, ok := tag.Lookup("default"); ok {
		setText(field, text)
		return
	}
	if field.Kind() != reflect.Struct {
		return
	}
	for _, inner := range fieldsByKey(field.Type()) {
		fillDefault(field.FieldByIndex(inner.Index), inner.Tag)
	}
}

// setText sets a field from the text of a tag, which we wrote ourselves.
func setText(field reflect.Value, text string) {
	switch {
	case field.Kind() == reflect.Pointer:
		field.Set(reflect.New(field.Type().Elem()))
		setText(field.Elem(), text)
	case field.Kind() == reflect.Slice:
		words := strings.Split(text, ",")
		field.Set(reflect.MakeSlice(field.Type(), len(words), len(words)))
		for i, word := range words {
			setText(field.Index(i), word)
		}
	case field.Kind() == reflect.String:
		field.SetString(text)
	case field.Type() == durationType:
		d, err := ParseDuration(text)
		if err != nil {
			panic("policy: tag: " + err.Error())
		}
		field.SetInt(int64(d))
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			panic("policy: tag: " + err.Error())
		}
		field.SetInt(n)
	}
}

// fieldsByKey lists the fields of a struct that a file can set.
func fieldsByKey(t reflect.Type) map[string]reflect.StructField {
	fields := map[string]reflect.StructField{}
	for i := range t.NumField() {
		field := t.Field(i)
		if key := field.Tag.Get("yaml"); key != "" {
			fields[key] = field
		}
	}
	return fields
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func kindWord(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	}
	if utf8.RuneCountInString(node.Value) > 60 {
		return strconv.Quote(string([]rune(node.Value)[:60])) + "…"
	}
	return strconv.Quote(node.Value)
}
