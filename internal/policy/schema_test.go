package policy

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func schema(t *testing.T) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(Schema(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// complaints walks a value along the words of JSON Schema that Schema uses.
func complaints(s map[string]any, value any, path string) []string {
	var out []string
	complain := func(format string, args ...any) { out = append(out, path+": "+fmt.Sprintf(format, args...)) }
	if list, ok := s["enum"].([]any); ok && !slices.Contains(list, value) {
		complain("%v is none of %v", value, list)
	}
	switch v := value.(type) {
	case map[string]any:
		if s["type"] != "object" {
			complain("keys where %v belongs", s["type"])
			return out
		}
		properties, _ := s["properties"].(map[string]any)
		names, _ := s["propertyNames"].(map[string]any)
		for key, inner := range v {
			if names != nil {
				out = append(out, complaints(names, key, path+"/"+key)...)
			}
			property, known := properties[key].(map[string]any)
			if !known {
				property, known = s["additionalProperties"].(map[string]any)
			}
			if !known {
				complain("unknown key %s", key)
				continue
			}
			out = append(out, complaints(property, inner, path+"/"+key)...)
		}
		needed, _ := s["required"].([]any)
		for _, key := range needed {
			if _, there := v[key.(string)]; !there {
				complain("no %v", key)
			}
		}
	case []any:
		if s["type"] != "array" {
			complain("a list where %v belongs", s["type"])
			return out
		}
		for i, inner := range v {
			out = append(out, complaints(s["items"].(map[string]any), inner, fmt.Sprintf("%s/%d", path, i))...)
		}
	case string:
		pattern, _ := s["pattern"].(string)
		if s["type"] != nil && s["type"] != "string" || !regexp.MustCompile(pattern).MatchString(v) {
			complain("%q is no %v %s", v, s["type"], pattern)
		}
	case int:
		least, hasLeast := s["minimum"].(float64)
		most, hasMost := s["maximum"].(float64)
		if s["type"] != "integer" || hasLeast && v < int(least) || hasMost && v > int(most) {
			complain("%d is no %v from %v to %v", v, s["type"], s["minimum"], s["maximum"])
		}
	case bool:
		if s["type"] != "boolean" {
			complain("%v where %v belongs", v, s["type"])
		}
	default:
		complain("%T", value)
	}
	return out
}

func asData(t *testing.T, text []byte) any {
	t.Helper()
	var out any
	if err := yaml.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestShippedPoliciesAgreeWithTheSchema(t *testing.T) {
	s := schema(t)
	for _, file := range append(shipped(t), "testdata/sound.yaml") {
		for _, c := range complaints(s, asData(t, readFile(t, file)), "") {
			t.Errorf("%s: %s", file, c)
		}
	}
}

// What a schema can see it refuses too, so that an editor marks it.
func TestTheSchemaRefusesWhatLoadRefuses(t *testing.T) {
	s := schema(t)
	for _, name := range []string{
		"unknown_key", "unknown_section", "key_of_another_section", "list_where_a_word_belongs", "word_where_a_list_belongs",
		"number_in_words", "duration_without_unit", "duration_in_weeks", "name_in_one_language", "name_in_a_third_language",
		"locale_unknown", "directory_unknown", "identifier_unknown", "intent_unknown", "digits_too_few", "digits_too_many",
		"password_cut_below_64", "profile_unknown", "review_unknown", "phone_without_quotes", "no_value",
	} {
		text, err := os.ReadFile(filepath.Join("testdata", "busted_"+name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if found := complaints(s, asData(t, text), ""); len(found) == 0 {
			t.Errorf("%s agrees with the schema", name)
		}
	}
}

// The comments are the manual, so every key has one, and a default in a tag is
// the default in the comment.
func TestEveryKeyIsExplainedWithItsDefault(t *testing.T) {
	comments := fieldComments(manual)
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(typ.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if seen[typ] {
			return
		}
		seen[typ] = true
		for key, field := range fieldsByKey(typ) {
			comment := comments[typ.Name()+"."+field.Name]
			if len(comment) < 15 {
				t.Errorf("%s of %s is explained by %q", key, typ.Name(), comment)
			}
			if text := field.Tag.Get("default"); text != "" && !strings.Contains(comment, "Default "+text) {
				t.Errorf("%s of %s: default %s is not in %q", key, typ.Name(), text, comment)
			}
			walk(field.Type)
		}
	}
	walk(reflect.TypeFor[Policy]())
	if len(seen) < 15 {
		t.Errorf("only %d structs were walked", len(seen))
	}
}

func TestTheSchemaIsTheSameEachTime(t *testing.T) {
	first := Schema()
	if string(first) != string(Schema()) || !strings.Contains(string(first), `"$schema": "https://json-schema.org/draft/2020-12/schema"`) {
		t.Error("the schema is not stable")
	}
}
