package api_test

import (
	"regexp"
	"strings"
	"testing"
)

func TestTheDocumentDescribesEveryOperation(t *testing.T) {
	in := install(t)
	doc := in.call("GET", "/openapi.json", "", nil).want(200)
	if doc["openapi"] != "3.1.0" {
		t.Errorf("openapi %v", doc["openapi"])
	}
	schemas := at(doc, "components.schemas").(map[string]any)
	problem := schemas["Problem"].(map[string]any)
	if at(problem, "properties.code") == nil {
		t.Fatalf("Problem: %v", problem)
	}
	seen := map[string]bool{}
	for path, item := range doc["paths"].(map[string]any) {
		for method, one := range item.(map[string]any) {
			op := one.(map[string]any)
			where := strings.ToUpper(method) + " " + path
			id, _ := op["operationId"].(string)
			if id == "" || seen[id] {
				t.Errorf("%s: operation ID %q is missing or there twice", where, id)
			}
			seen[id] = true
			if op["summary"] == "" || op["description"] == "" || op["security"] == nil {
				t.Errorf("%s says nothing of itself", where)
			}
			good, bad := false, false
			for code, response := range op["responses"].(map[string]any) {
				if strings.HasPrefix(code, "2") {
					good = true
					continue
				}
				content, _ := at(response, "content").(map[string]any)
				schema, _ := content["application/problem+json"].(map[string]any)
				if at(schema, "schema.$ref") != "#/components/schemas/Problem" {
					t.Errorf("%s %s is no problem: %v", where, code, response)
				}
				bad = true
			}
			if !good || !bad {
				t.Errorf("%s: no good answer or no problem", where)
			}
		}
	}
	if len(seen) != 25 {
		t.Errorf("%d operations", len(seen))
	}
	raw := in.call("GET", "/openapi.json", "", nil).body
	for _, ref := range regexp.MustCompile(`"#/components/schemas/(\w+)"`).FindAllStringSubmatch(raw, -1) {
		if schemas[ref[1]] == nil {
			t.Errorf("%s is not there", ref[1])
		}
	}
	for name := range schemas {
		if strings.Contains(name, "View") || strings.Contains(name, "Db") {
			t.Errorf("%s is an inner type", name)
		}
	}
}

func TestTheDocumentsPageNeedsNobodyElse(t *testing.T) {
	in := install(t)
	page := in.call("GET", "/docs", "", nil)
	if page.status != 200 || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") {
		t.Fatalf("status %d", page.status)
	}
	csp := page.header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "style-src 'self'") || strings.Contains(csp, "script-src") {
		t.Errorf("policy %q", csp)
	}
	for _, banned := range []string{"<script", "style=", "http://", "https://", " src=", " on"} {
		if regexp.MustCompile(`<[^>]*` + regexp.QuoteMeta(banned)).MatchString(page.body) {
			t.Errorf("the page has %q in a tag", banned)
		}
	}
	if in.call("GET", "/docs/style.css", "", nil).status != 200 {
		t.Error("no style sheet")
	}
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(page.body, -1) {
		if anchors[m[1]] {
			t.Errorf("id %s is there twice", m[1])
		}
		anchors[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(page.body, -1) {
		if !anchors[m[1]] {
			t.Errorf("#%s leads nowhere", m[1])
		}
	}
	for _, want := range []string{"error.code.wrong", "take-outcome", "type-Case"} {
		if !anchors[want] {
			t.Errorf("no #%s", want)
		}
	}
}
