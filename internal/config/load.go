package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wanbi/wanbi/internal/policy"
)

// maxBytes bounds the file. Ours: the example with every key and a hundred realms
// stays below a fifth of it.
const maxBytes = 256 << 10

// Load reads and checks a file of settings. env gives environment variables, as
// os.LookupEnv does. What is wrong comes as [policy.Errors], one for each line at
// fault; no message quotes a value that may be secret.
func Load(path string, env func(string) (string, bool)) (*Config, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("settings %s are not there: copy deploy/wanbi.example.yaml, or name the file with --config", path)
	}
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	c := &Config{path: path}
	r := &reading{config: c, file: filepath.Base(path), readableByAll: info.Mode().Perm()&0o007 != 0}
	r.read(text)
	if len(r.problems) == 0 {
		r.secrets(env)
		r.paths(filepath.Dir(path))
		r.check()
	}
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b policy.Problem) int { return cmp.Compare(a.Line, b.Line) })
		return nil, r.problems
	}
	return c, nil
}

// reading is one file on its way into a Config. It goes on after a problem, so
// that one run names them all.
type reading struct {
	config        *Config
	file          string
	readableByAll bool
	problems      policy.Errors
}

func (r *reading) problem(line int, path, format string, args ...any) {
	r.problems = append(r.problems, policy.Problem{File: r.file, Line: max(line, 1), Path: path, Message: fmt.Sprintf(format, args...)})
}

// at records a problem with what is written at a path, or should be.
func (r *reading) at(path, format string, args ...any) {
	line := 0
	for at := path; at != "" && line == 0; at = at[:max(strings.LastIndexByte(at, '.'), 0)] {
		line = r.config.lines[at]
	}
	r.problem(line, path, format, args...)
}

func (r *reading) read(text []byte) {
	if len(text) > maxBytes {
		r.problem(1, "", "larger than %d KiB", maxBytes>>10)
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		r.yamlError(err)
		return
	}
	if len(document.Content) == 0 {
		r.problem(1, "", "nothing in it")
		return
	}
	r.config.lines = map[string]int{}
	if !r.plain(document.Content[0], "") {
		return
	}
	if err := decoder.Decode(r.config); err != nil {
		r.yamlError(err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		r.problem(1, "", "more than one document: one file holds one")
	}
}

// plain refuses what makes a file mean something else than it shows, and notes
// the line of everything else.
func (r *reading) plain(node *yaml.Node, path string) bool {
	if _, seen := r.config.lines[path]; !seen {
		r.config.lines[path] = node.Line
	}
	switch {
	case node.Kind == yaml.AliasNode || node.Anchor != "":
		r.problem(node.Line, path, "anchors and aliases are not read: write the value itself")
		return false
	case node.Style&yaml.TaggedStyle != 0:
		r.problem(node.Line, path, "tags are not read")
		return false
	case node.ShortTag() == "!!null":
		r.problem(node.Line, path, "no value: leave the key out")
		return false
	}
	ok := true
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := join(path, node.Content[i].Value)
			r.config.lines[key] = node.Content[i].Line
			ok = r.plain(node.Content[i+1], key) && ok
		}
	case yaml.SequenceNode:
		for i, item := range node.Content {
			ok = r.plain(item, join(path, strconv.Itoa(i))) && ok
		}
	}
	return ok
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// The forms of the library's messages.
var (
	unknownField = regexp.MustCompile(`^line (\d+): field (.+) not found in type (\S+)$`)
	keyTwice     = regexp.MustCompile(`^line (\d+): mapping key "(.+)" already defined at line (\d+)$`)
	wrongKind    = regexp.MustCompile("(?s)^line (\\d+): cannot unmarshal !!(\\w+)(?: `.*`)? into (\\S+)$")
	broken       = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)$`)
)

// yamlError says in our words what the library found, without the values.
func (r *reading) yamlError(err error) {
	var many *yaml.TypeError
	if !errors.As(err, &many) {
		parts := broken.FindStringSubmatch(err.Error())
		r.problem(number(parts[1]), "", "no YAML, here or on the next line: %s", parts[2])
		return
	}
	for _, message := range many.Errors {
		if parts := unknownField.FindStringSubmatch(message); parts != nil {
			r.problem(number(parts[1]), "", "unknown key %q%s", parts[2], didYouMean(parts[2], keysOf(parts[3])))
		} else if parts := keyTwice.FindStringSubmatch(message); parts != nil {
			r.problem(number(parts[1]), "", "%q again, first on line %s", parts[2], parts[3])
		} else if parts := wrongKind.FindStringSubmatch(message); parts != nil {
			r.problem(number(parts[1]), "", "write %s here, not %s", kindWord(parts[3]), tagWord(parts[2]))
		} else {
			r.problem(1, "", "no settings: it does not read as keys and values")
		}
	}
}

func number(digits string) int {
	n, _ := strconv.Atoi(digits) // none, or digits that were matched
	return n
}

func kindWord(goType string) string {
	switch {
	case goType == "int":
		return "a whole number"
	case goType == "string":
		return "one value"
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	}
	return "keys and values"
}

func tagWord(tag string) string {
	switch tag {
	case "map":
		return "keys and values"
	case "seq":
		return "a list"
	case "str":
		return "words"
	}
	return "a value such as this"
}

// keysOf lists the keys of a struct of this package by its name.
func keysOf(goType string) []string {
	for _, t := range []reflect.Type{
		reflect.TypeFor[Config](), reflect.TypeFor[Policy](), reflect.TypeFor[SMTP](), reflect.TypeFor[SMS](),
		reflect.TypeFor[Kannel](), reflect.TypeFor[Log](), reflect.TypeFor[Hash](),
	} {
		if t.String() != goType {
			continue
		}
		var keys []string
		for i := range t.NumField() {
			if key := t.Field(i).Tag.Get("yaml"); key != "" {
				keys = append(keys, key)
			}
		}
		return keys
	}
	return nil
}

// didYouMean gives a clause with the known key nearest to the one written, where
// at most a third of its letters differ.
func didYouMean(written string, known []string) string {
	best, least := "", len(written)/3+2
	for _, key := range known {
		if d := distance(written, key); d < least {
			best, least = key, d
		}
	}
	if best == "" {
		return "; known here are " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance counts the letters to insert, drop or change (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
