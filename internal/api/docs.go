package api

import (
	"bytes"
	_ "embed"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wanbi/wanbi/internal/i18n"
)

//go:embed docs.html
var docsPage string

//go:embed docs.css
var stylesheet []byte

// docs renders the page once: it shows the OpenAPI document and nothing else, so
// it cannot say anything that the document does not.
func (s *site) docs() http.HandlerFunc {
	page := template.Must(template.New("docs").Funcs(template.FuncMap{"prose": prose}).Parse(docsPage))
	var out bytes.Buffer
	if err := page.Execute(&out, s.readable()); err != nil {
		panic(err) // the page is compiled in
	}
	answer := serve("text/html; charset=utf-8", out.Bytes())
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy",
			"default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		answer(w, r)
	}
}

// span is a piece of text, in code or not.
type span struct {
	Text string
	Code bool
}

// prose splits a description at its backticks.
func prose(text string) []span {
	var out []span
	for i, part := range strings.Split(text, "`") {
		out = append(out, span{part, i%2 == 1})
	}
	return out
}

// readme is the document as the page reads it.
type readme struct {
	Title, Description string
	Groups             []group
	Types              []typeDoc
	Problems           []problemDoc
}

type group struct {
	Name       string
	Operations []operationDoc
}

type operationDoc struct {
	ID, Method, Path, Summary, Description, Credential string
	Parameters                                         []fieldDoc
	Body, Result                                       shape
	Status                                             string
	Errors                                             []string
}

type typeDoc struct {
	Name   string
	Fields []fieldDoc
}

// shape is what a value is made of; Type is the name of a type to link to.
type shape struct{ Text, Type string }

type fieldDoc struct {
	Name, In, Description, Bounds string
	Required                      bool
	Shape                         shape
}

type problemDoc struct{ Code, Chinese, English string }

// tags is the order of the page.
var tags = []string{tagClaimant, tagHost, tagInbound, tagAudit, tagProcess}

func (s *site) readable() readme {
	doc := s.api.OpenAPI()
	out := readme{Title: doc.Info.Title, Description: doc.Info.Description}
	for _, tag := range tags {
		g := group{Name: tag}
		for _, op := range s.operations {
			if op.Tags[0] == tag {
				g.Operations = append(g.Operations, readOperation(op))
			}
		}
		out.Groups = append(out.Groups, g)
	}
	schemas := doc.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		out.Types = append(out.Types, typeDoc{name, readFields(schemas[name])})
	}
	for _, key := range i18n.Keys() {
		if strings.HasPrefix(key, "error.") || strings.HasPrefix(key, "secret.") {
			out.Problems = append(out.Problems, problemDoc{key, generic(i18n.Chinese, key), generic(i18n.English, key)})
		}
	}
	return out
}

// generic words a key with its placeholders standing for themselves.
func generic(locale, key string) string {
	args := map[string]any{}
	for _, name := range i18n.Placeholders(key) {
		args[name] = "…"
	}
	return i18n.T(locale, key, args)
}

func readOperation(op *huma.Operation) operationDoc {
	out := operationDoc{ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary, Description: op.Description}
	for _, requirement := range op.Security {
		for name := range requirement {
			out.Credential = name
		}
	}
	for _, p := range op.Parameters {
		out.Parameters = append(out.Parameters, fieldDoc{
			Name: p.Name, In: p.In, Description: p.Description, Required: p.Required, Shape: readShape(p.Schema), Bounds: bounds(p.Schema),
		})
	}
	if op.RequestBody != nil {
		out.Body = readShape(op.RequestBody.Content["application/json"].Schema)
	}
	for _, code := range slices.Sorted(maps.Keys(op.Responses)) {
		if !strings.HasPrefix(code, "2") {
			out.Errors = append(out.Errors, code)
			continue
		}
		out.Status = code
		for _, media := range op.Responses[code].Content {
			out.Result = readShape(media.Schema)
		}
	}
	return out
}

func readFields(s *huma.Schema) []fieldDoc {
	var out []fieldDoc
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		field := s.Properties[name]
		out = append(out, fieldDoc{
			Name: name, Description: field.Description, Required: slices.Contains(s.Required, name), Shape: readShape(field), Bounds: bounds(field),
		})
	}
	return out
}

func readShape(s *huma.Schema) shape {
	switch {
	case s == nil:
		return shape{}
	case s.Ref != "":
		return shape{Type: s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]}
	case s.Type == huma.TypeArray:
		of := readShape(s.Items)
		return shape{Text: strings.TrimSpace("list of " + of.Text), Type: of.Type}
	case s.Format != "":
		return shape{Text: s.Type + ", " + s.Format}
	case s.ContentEncoding != "":
		return shape{Text: s.Type + ", " + s.ContentEncoding}
	}
	return shape{Text: s.Type}
}

// bounds says what a value may be, in words.
func bounds(s *huma.Schema) string {
	var out []string
	if len(s.Enum) > 0 {
		words := make([]string, len(s.Enum))
		for i, word := range s.Enum {
			words[i], _ = word.(string)
		}
		out = append(out, strings.Join(words, ", "))
	}
	for _, bound := range []struct {
		text  string
		value *int
	}{{"at least %", s.MinLength}, {"at most %", s.MaxLength}, {"at least %", s.MinItems}, {"at most %", s.MaxItems}} {
		if bound.value != nil {
			out = append(out, strings.Replace(bound.text, "%", strconv.Itoa(*bound.value), 1))
		}
	}
	return strings.Join(out, "; ")
}
