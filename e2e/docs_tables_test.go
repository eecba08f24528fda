package e2e

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"phonesocket/internal/media/session"
)

// table returns what stands in code spans in the first column of the table behind <!-- table: title -->.
func table(t *testing.T, name, title string) []string {
	t.Helper()
	_, rest, found := strings.Cut(readDocument(t, name).prose, "<!-- table: "+title+" -->\n")
	if !found {
		t.Fatalf("%s has no table %q", name, title)
	}
	var all []string
	for i, line := range strings.Split(rest, "\n") {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if i < 2 {
			continue
		}
		for _, m := range span.FindAllStringSubmatch(strings.Split(line, "|")[1], -1) {
			all = append(all, m[1])
		}
	}
	return all
}

// source is what the files of a package say, tests apart.
type source []*ast.File

func parse(t *testing.T, dir string) source {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "internal", dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all source
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	if len(all) == 0 {
		t.Fatalf("no files in %s", dir)
	}
	return all
}

// constants returns the texts of the string constants whose name, or the name of whose type, is chosen.
func (s source) constants(choose func(name, of string) bool) []string {
	var all []string
	for _, f := range s {
		ast.Inspect(f, func(n ast.Node) bool {
			decl, ok := n.(*ast.GenDecl)
			if !ok || decl.Tok != token.CONST {
				return true
			}
			for _, spec := range decl.Specs {
				v, _ := spec.(*ast.ValueSpec)
				of, _ := v.Type.(*ast.Ident)
				for i, name := range v.Names {
					if i < len(v.Values) && choose(name.Name, typeName(of)) {
						all = append(all, text(v.Values[i])...)
					}
				}
			}
			return true
		})
	}
	return all
}

func typeName(id *ast.Ident) string {
	if id == nil {
		return ""
	}
	return id.Name
}

// prefixed chooses constants by the beginning of their names.
func prefixed(prefix string) func(name, of string) bool {
	return func(name, _ string) bool { return strings.HasPrefix(name, prefix) }
}

// arguments returns the text that calls of a function have at a place.
func (s source) arguments(function string, at int) []string {
	var all []string
	for _, f := range s {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) <= at {
				return true
			}
			switch fun := call.Fun.(type) {
			case *ast.Ident:
				if fun.Name == function {
					all = append(all, text(call.Args[at])...)
				}
			case *ast.SelectorExpr:
				if x, ok := fun.X.(*ast.Ident); ok && x.Name+"."+fun.Sel.Name == function {
					all = append(all, text(call.Args[at])...)
				}
			}
			return true
		})
	}
	return all
}

// assigned returns the texts that are assigned to a field or a variable.
func (s source) assigned(name string) []string {
	var all []string
	for _, f := range s {
		ast.Inspect(f, func(n ast.Node) bool {
			a, ok := n.(*ast.AssignStmt)
			if !ok || len(a.Lhs) != len(a.Rhs) {
				return true
			}
			for i := range a.Lhs {
				switch to := a.Lhs[i].(type) {
				case *ast.SelectorExpr:
					if to.Sel.Name == name {
						all = append(all, text(a.Rhs[i])...)
					}
				case *ast.Ident:
					if to.Name == name {
						all = append(all, text(a.Rhs[i])...)
					}
				}
			}
			return true
		})
	}
	return all
}

// text is the value of a string literal, or nothing.
func text(e ast.Expr) []string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return nil
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return nil
	}
	return []string{s}
}

// openAPI is the part of the document of REST that the tables repeat; a test of its own keeps it true.
type openAPI struct {
	Paths      map[string]map[string]any
	Components struct {
		Schemas map[string]struct{ Properties map[string]any }
	}
}

func readOpenAPI(t *testing.T) openAPI {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "internal/front/api/testdata/openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc openAPI
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func (o openAPI) operations() []string {
	var all []string
	for path, methods := range o.Paths {
		for method := range methods {
			all = append(all, strings.ToUpper(method)+" "+path)
		}
	}
	return all
}

func (o openAPI) fields(schema string) []string {
	return slices.Collect(maps.Keys(o.Components.Schemas[schema].Properties))
}

// texts are the types of the messages that sockets get.
func texts() []string {
	var all []string
	for k := session.KindStart; !strings.HasPrefix(k.String(), "kind "); k++ {
		all = append(all, k.String())
	}
	return all
}

func TestTheTablesOfTheDocumentsSayWhatTheCodeSays(t *testing.T) {
	rest, audio := "docs/rest.md", "docs/audio.md"
	doc := readOpenAPI(t)
	calls, dialog, policy := parse(t, "call"), parse(t, "sip/dialog"), parse(t, "call/policy")
	api, stream := parse(t, "front/api"), parse(t, "front/stream")
	registration := parse(t, "sip/registration")
	typed := func(want string) func(name, of string) bool {
		return func(_, of string) bool { return of == want }
	}
	tests := []struct {
		document, title string
		want            []string
	}{
		{rest, "operations", doc.operations()},
		{rest, "request", doc.fields("DialRequest")},
		{rest, "call", doc.fields("Call")},
		{rest, "audio", doc.fields("Audio")},
		{rest, "statuses", calls.constants(typed("Status"))},
		{rest, "reasons", slices.Concat(calls.constants(prefixed("Reason")), dialog.constants(prefixed("Reason")))},
		{rest, "problems", slices.Concat(
			calls.constants(prefixed("Code")), policy.constants(typed("Code")),
			api.constants(prefixed("code")), api.arguments("problem.New", 1), api.assigned("Code"),
		)},
		{rest, "registration states", registration.constants(prefixed("State"))},
		{rest, "registration causes", registration.constants(prefixed("Cause"))},
		{audio, "query", stream.arguments("values.Get", 0)},
		{audio, "texts", texts()},
		{audio, "error codes", slices.Concat(
			parse(t, "media/session").constants(prefixed("Code")), parse(t, "media/engine").constants(prefixed("Code")),
			parse(t, "front/wire").constants(prefixed("Code")),
		)},
		{audio, "refusals", slices.Concat(stream.arguments("refuse", 1), []string{"foreign_origin", "unknown_host", "call_not_found", "internal_error"})},
	}
	for _, test := range tests {
		t.Run(test.title, func(t *testing.T) {
			got := table(t, test.document, test.title)
			slices.Sort(got)
			slices.Sort(test.want)
			if diff := cmp.Diff(slices.Compact(test.want), got); diff != "" {
				t.Errorf("%s, table %q (-code +document):\n%s", test.document, test.title, diff)
			}
		})
	}
}

func TestTheArchitecturePageNamesEveryRoom(t *testing.T) {
	page := readDocument(t, "docs/architecture.md").text
	rooms := 0
	err := filepath.WalkDir(filepath.Join(root, "internal"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		room, err := filepath.Rel(filepath.Join(root, "internal"), path)
		if err != nil {
			return err
		}
		if slices.Contains([]string{"arch", "test", filepath.Join("sip", "siptest")}, room) {
			return filepath.SkipDir // they carry tests
		}
		files, err := filepath.Glob(filepath.Join(path, "*.go"))
		if err != nil || len(files) == 0 {
			return err
		}
		rooms++
		if !strings.Contains(page, "`"+filepath.ToSlash(room)+"`") {
			t.Errorf("docs/architecture.md does not name %s", room)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if rooms < 20 {
		t.Errorf("only %d rooms found", rooms)
	}
}
