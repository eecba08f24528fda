package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestEveryRouteIsInTheDocumentAndTheOtherWayRound(t *testing.T) {
	doc := ask(t, newHandler(t, testConfig()), "GET", "/openapi.json", "").json
	var table, documented []string
	ids := map[string]bool{}
	for _, o := range (&server{}).table() {
		table = append(table, o.Method+" "+o.Path)
		if ids[o.OperationID] || o.OperationID == "" || o.Summary == "" || len(o.Tags) == 0 {
			t.Errorf("%s %s: id %q must be there and its own; summary and tag too", o.Method, o.Path, o.OperationID)
		}
		ids[o.OperationID] = true
	}
	for path, item := range doc["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(table)
	slices.Sort(documented)
	if !slices.Equal(table, documented) {
		t.Errorf("table = %q\ndocument = %q", table, documented)
	}
	if doc["openapi"] != "3.1.0" {
		t.Errorf("openapi = %v, want 3.1.0", doc["openapi"])
	}
}

func TestEveryOperationDocumentsItsRefusalsAndItsToken(t *testing.T) {
	doc := ask(t, newHandler(t, testConfig()), "GET", "/openapi.json", "").json
	for path, item := range doc["paths"].(map[string]any) {
		for method, raw := range item.(map[string]any) {
			op := raw.(map[string]any)
			responses := op["responses"].(map[string]any)
			for status, r := range responses {
				if status < "400" {
					continue
				}
				content, _ := r.(map[string]any)["content"].(map[string]any)
				if _, found := content["application/problem+json"]; !found {
					t.Errorf("%s %s: %s is not a problem document", method, path, status)
				}
			}
			if _, found := responses["default"]; found {
				t.Errorf("%s %s: a default response stands in the document", method, path)
			}
			_, needsToken := responses["401"]
			security, own := op["security"].([]any)
			if open := own && len(security) == 0; open == needsToken || open != (path == "/health") {
				t.Errorf("%s %s: open = %v, 401 = %v", method, path, open, needsToken)
			}
		}
	}
}

func TestEveryReferenceOfTheDocumentLeadsSomewhereAndEverySchemaIsUsed(t *testing.T) {
	doc := ask(t, newHandler(t, testConfig()), "GET", "/openapi.json", "").json
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	used := map[string]bool{}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				name := strings.TrimPrefix(ref, "#/components/schemas/")
				if _, found := schemas[name]; !found {
					t.Errorf("reference to %s, which is not there", ref)
				}
				used[name] = true
			}
			for _, x := range v {
				walk(x)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(doc)
	for name := range schemas {
		if !used[name] {
			t.Errorf("schema %s is not used", name)
		}
	}
}

func TestThePageForPeopleLoadsNothingFromElsewhere(t *testing.T) {
	a := ask(t, newHandler(t, testConfig()), "GET", "/docs", "")
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("status = %d, content type = %q", a.status, a.header.Get("Content-Type"))
	}
	for _, forbidden := range []string{"http://", "https://", "src=", "@import", "innerHTML", "eval("} {
		if strings.Contains(a.text, forbidden) {
			t.Errorf("%q stands in the page", forbidden)
		}
	}
	for _, tag := range []string{"<script>", "<style>"} {
		if strings.Count(a.text, tag) != 1 {
			t.Errorf("there must be exactly one %s, whose hash is in the policy", tag)
		}
	}
	policy := a.header.Get("Content-Security-Policy")
	if strings.Count(policy, "'sha256-") != 2 || strings.Contains(policy, "unsafe") {
		t.Errorf("policy = %q", policy)
	}
}

func TestTheDistanceBetweenWords(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"to", "to", 0}, {"too", "to", 1}, {"ot", "to", 2}, {"", "abc", 3}, {"kitten", "sitting", 3}} {
		if got := edits(tt.a, tt.b); got != tt.want {
			t.Errorf("edits(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
