package directory

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wanbi/wanbi/internal/recovery"
)

var update = flag.Bool("update", false, "write docs/directory.schema.json from the Go types")

const (
	schemaFile = "../../docs/directory.schema.json"
	pageFile   = "../../docs/directory.md"
)

// bodies are all there are on the wire, by their name in the schema.
var bodies = map[string]reflect.Type{
	"FindRequest": reflect.TypeFor[findRequest](),
	"FindAnswer":  reflect.TypeFor[findAnswer](),
	"SetSecret":   reflect.TypeFor[SetSecret](),
	"EndSessions": reflect.TypeFor[endSessions](),
	"Unlock":      reflect.TypeFor[unlock](),
	"Lock":        reflect.TypeFor[lock](),
	"Problem":     reflect.TypeFor[problem](),
}

// registry derives the schemas from the Go types. Two types are called lock on
// the wire: the call, and the reason inside an account, which is AccountLock.
// What a host answers may have fields that we do not know.
func registry() huma.Registry {
	huma.DefaultArrayNullable = false
	r := huma.NewMapRegistry("#/$defs/", func(t reflect.Type, hint string) string {
		if t == reflect.TypeFor[Lock]() {
			return "AccountLock"
		}
		return huma.DefaultSchemaNamer(t, hint)
	})
	for _, t := range bodies {
		r.Schema(t, true, "")
	}
	for _, open := range []string{"FindAnswer", "Account", "Identifier", "Contact", "AccountLock", "Problem"} {
		r.Map()[open].AdditionalProperties = true
	}
	return r
}

func TestSchemaIsThatOfTheTypes(t *testing.T) {
	generated, err := json.Marshal(map[string]any{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       "Wanbi webhook directory",
		"description": "The bodies of docs/directory.md. Generated from the types in internal/directory.",
		"$defs":       registry().Map(),
	})
	if err != nil {
		t.Fatal(err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, generated, "", "  "); err != nil {
		t.Fatal(err)
	}
	pretty.WriteByte('\n')
	if *update {
		if err := os.WriteFile(schemaFile, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, pretty.Bytes()) {
		t.Error("docs/directory.schema.json is stale: go test ./internal/directory -run Schema -update")
	}
}

// The enumerations in the tags are those of package recovery.
func TestSchemaKnowsEveryWord(t *testing.T) {
	defs := registry().Map()
	for place, c := range map[string]struct {
		got  []any
		want []string
	}{
		"lock reasons":     {defs["AccountLock"].Properties["reason"].Enum, words(recovery.LockReasons)},
		"reasons to clear": {defs["Unlock"].Properties["reasons"].Items.Enum, words(recovery.LockReasons)},
		"identifier kinds": {defs["Identifier"].Properties["kind"].Enum, words(identifierKinds)},
		"contact kinds":    {defs["Contact"].Properties["kind"].Enum, words(contactKinds)},
	} {
		var got []string
		for _, word := range c.got {
			got = append(got, fmt.Sprint(word))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: schema %v, package recovery %v", place, got, c.want)
		}
	}
}

func words[T ~string](list []T) []string {
	var out []string
	for _, word := range list {
		out = append(out, string(word))
	}
	return out
}

// faults holds a JSON text against the schema of a name.
func faults(t *testing.T, name string, text []byte) []error {
	t.Helper()
	if bodies[name] == nil {
		t.Fatalf("no body is called %q", name)
	}
	var parsed any
	if err := json.Unmarshal(text, &parsed); err != nil {
		return []error{err}
	}
	r := registry()
	result := &huma.ValidateResult{}
	huma.Validate(r, r.Map()[name], huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, parsed, result)
	return result.Errors
}

var sample = regexp.MustCompile("(?s)```json ([A-Za-z]+)\n(.*?)```")

// Every body in the page is one that the schema takes, and each is shown.
func TestPageShowsValidBodies(t *testing.T) {
	page, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, match := range sample.FindAllSubmatch(page, -1) {
		name := string(match[1])
		shown[name] = true
		if errs := faults(t, name, match[2]); len(errs) != 0 {
			t.Errorf("%s: %v", name, errs)
		}
	}
	for name := range bodies {
		if !shown[name] {
			t.Errorf("docs/directory.md shows no %s", name)
		}
	}
	if errs := faults(t, "Lock", []byte(`{"realm":"r","case":"c","account":"a","reason":"dormant"}`)); len(errs) == 0 {
		t.Error("the schema takes anything")
	}
	if !strings.Contains(string(page), "directory.schema.json") {
		t.Error("docs/directory.md does not name the schema")
	}
}
