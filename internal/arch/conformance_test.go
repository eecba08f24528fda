package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// conformance is the table of the rules of SIP that we keep, with the tests that prove them.
const conformance = "docs/sip-conformance.md"

// rule is one row of the table.
type rule struct {
	text, section, state string
	tests                []string // as "folder.TestName", the folder below internal/ or e2e
}

var named = regexp.MustCompile("`([a-z0-9/]+)\\.(Test[A-Za-z0-9_]+|Fuzz[A-Za-z0-9_]+)`")

// readRules returns the rows of all tables of the document.
func readRules(t *testing.T) []rule {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, conformance))
	if err != nil {
		t.Fatal(err)
	}
	var all []rule
	for i, line := range strings.Split(string(raw), "\n") {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| rule |") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 4 {
			t.Errorf("%s:%d: %d columns, want rule, section, test and state", conformance, i+1, len(cells))
			continue
		}
		r := rule{text: strings.TrimSpace(cells[0]), section: strings.TrimSpace(cells[1]), state: strings.TrimSpace(cells[3])}
		for _, m := range named.FindAllStringSubmatch(cells[2], -1) {
			r.tests = append(r.tests, m[1]+"."+m[2])
		}
		if strings.Count(cells[2], "`") != 2*len(r.tests) {
			t.Errorf("%s:%d: a test is not written as `folder.TestName`: %s", conformance, i+1, cells[2])
		}
		all = append(all, r)
	}
	return all
}

// readTests returns all tests of the tree as "folder.TestName".
func readTests(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, top := range []string{"internal", "e2e"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			folder, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			folder = strings.TrimPrefix(filepath.ToSlash(folder), "internal/")
			for _, decl := range f.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil {
					all = append(all, folder+"."+fn.Name.Name)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestEveryRuleOfSIPThatIsCalledProvenNamesTestsThatExist(t *testing.T) {
	rules, tests := readRules(t), readTests(t)
	if len(rules) < 50 {
		t.Fatalf("%d rules were found in %s, want the whole table", len(rules), conformance)
	}
	for _, r := range rules {
		state, open, _ := strings.Cut(r.state, ":")
		switch state {
		case "proven":
			if len(r.tests) == 0 {
				t.Errorf("%q is called proven without a test", r.text)
			}
		case "partly", "later":
			if strings.TrimSpace(open) == "" {
				t.Errorf("%q is %s, but not what is open", r.text, state)
			}
			if state == "partly" && len(r.tests) == 0 {
				t.Errorf("%q is called partly proven without a test", r.text)
			}
		default:
			t.Errorf("%q has state %q, want proven, partly: ... or later: ...", r.text, r.state)
		}
		if r.section == "" {
			t.Errorf("%q names no section", r.text)
		}
		for _, name := range r.tests {
			if !slices.Contains(tests, name) {
				t.Errorf("%q names %s, which is not in the tree", r.text, name)
			}
		}
	}
}
