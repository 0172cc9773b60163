package policy

import (
	_ "embed"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"

	"github.com/wanbi/wanbi/internal/recovery"
)

// The comments of the structs are the manual, so the schema reads them here.
//
//go:embed policy.go
var manual string

// Schema gives the JSON Schema (2020-12) of the policy file, for editors. It is
// made from the structs, their tags and their comments, so that it knows every
// key that Load knows; what Load refuses for reasons between keys it cannot say.
func Schema() []byte {
	s := schemaMaker{comments: fieldComments(manual)}
	root := s.of(reflect.TypeFor[Policy](), "")
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Wanbi policy"
	root["required"] = []string{"realm", "identifiers", "intents"}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("policy: schema: " + err.Error()) // only maps, lists and words in it
	}
	return append(text, '\n')
}

type schemaMaker struct {
	comments map[string]string // Type.Field → comment
}

type object = map[string]any

func (s schemaMaker) of(t reflect.Type, tag reflect.StructTag) object {
	switch {
	case t.Kind() == reflect.Pointer:
		return s.of(t.Elem(), tag)
	case t == reflect.TypeFor[Text]():
		text := object{"type": "string", "minLength": 1, "maxLength": 300}
		return object{
			"type": "object", "additionalProperties": false, "required": []string{"zh-CN", "en"},
			"properties": object{"zh-CN": text, "en": text},
		}
	case t == durationType:
		out := object{"type": "string", "pattern": durationForm.String(), "minLength": 2}
		if text := tag.Get("default"); text != "" {
			out["default"] = text
		}
		return out
	}
	switch t.Kind() {
	case reflect.Struct:
		return s.structure(t)
	case reflect.Map:
		out := object{"type": "object", "additionalProperties": s.of(t.Elem(), "")}
		if t.Key() == reflect.TypeFor[recovery.Intent]() {
			out["propertyNames"] = object{"enum": words(recovery.Intents)}
		}
		return out
	case reflect.Slice:
		out := object{"type": "array", "items": s.of(t.Elem(), withoutDefault(tag))}
		if text := tag.Get("default"); text != "" {
			out["default"] = strings.Split(text, ",")
		}
		return out
	case reflect.Bool:
		return object{"type": "boolean", "default": false}
	case reflect.Int:
		return numbered(object{"type": "integer"}, tag)
	}
	out := object{"type": "string"}
	if list := tag.Get("oneof"); list != "" {
		out["enum"] = strings.Split(list, ",")
	}
	if text := tag.Get("default"); text != "" {
		out["default"] = text
	}
	return out
}

func (s schemaMaker) structure(t reflect.Type) object {
	properties := object{}
	for key, field := range fieldsByKey(t) {
		property := s.of(field.Type, field.Tag)
		property["description"] = s.comments[t.Name()+"."+field.Name]
		properties[key] = property
	}
	return object{"type": "object", "properties": properties, "additionalProperties": false}
}

func numbered(out object, tag reflect.StructTag) object {
	for key, name := range map[string]string{"least": "minimum", "most": "maximum", "default": "default"} {
		if text, ok := tag.Lookup(key); ok {
			out[name] = json.Number(text)
		}
	}
	return out
}

func withoutDefault(tag reflect.StructTag) reflect.StructTag {
	if list := tag.Get("oneof"); list != "" {
		return reflect.StructTag(`oneof:"` + list + `"`)
	}
	return ""
}

// fieldComments reads the comment above each field of each struct in a Go file.
func fieldComments(source string) map[string]string {
	file, err := parser.ParseFile(token.NewFileSet(), "policy.go", source, parser.ParseComments)
	if err != nil {
		panic("policy: schema: " + err.Error()) // it compiled, so it parses
	}
	comments := map[string]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if structure, ok := spec.Type.(*ast.StructType); ok {
			for _, field := range structure.Fields.List {
				for _, name := range field.Names {
					comments[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
				}
			}
		}
		return false
	})
	return comments
}
