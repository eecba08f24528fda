// Package arch holds the tests of the shape of this repository: who may import
// whom, who may use which library, and that every package says what it is for.
package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "phonesocket"
)

// rooms lists, for each package, the packages of this module it may import; a
// trailing "/*" stands for everything below a folder. Imports point from the
// fronts towards the phone line, never back. It is the table of docs/architecture.md.
var rooms = map[string][]string{
	"audio/activity": {},
	"audio/conceal":  {},
	"audio/g711":     {},
	"audio/g722":     {},
	"audio/measure":  {},
	"audio/resample": {},
	"audio/sample":   {"audio/wav"},
	"audio/tone":     {},
	"audio/wav":      {"audio/g711"},

	"media/sdp":     {},
	"media/rtp":     {},
	"media/reorder": {},
	"media/playout": {},
	"media/session": {"audio/*", "media/sdp", "media/rtp", "media/reorder", "media/playout"},
	"media/engine":  {"media/session", "media/sdp"},

	"sip/transport":    {},
	"sip/transaction":  {"sip/transport"},
	"sip/digest":       {},
	"sip/resolve":      {},
	"sip/account":      {},
	"sip/registration": {"sip/transport", "sip/transaction", "sip/digest", "sip/resolve", "sip/account"},
	"sip/dialog":       {"sip/transport", "sip/transaction", "sip/digest", "sip/resolve", "sip/account", "sip/registration"},

	"call":         {"sip/*", "media/*", "call/*"},
	"call/policy":  {},
	"call/journal": {},

	"front/wire":    {"media/session", "media/engine"},
	"front/problem": {"call"},
	"front/webhook": {"call"},
	"front/stream":  {"call", "media/engine", "media/session", "front/wire", "front/problem"},
	"front/api":     {"call", "front/problem"},

	"phonenet": {"audio/sample"},
	"config":   {"call/policy"},
	"gateway":  {"audio/*", "media/*", "sip/*", "call", "call/*", "front/*", "config"},
	"demo":     {"gateway", "config", "phonenet", "audio/*"},

	"test/sound":  {"audio/*"},
	"sip/siptest": {"sip/*"},

	"cmd/phonesocket": {"gateway", "config", "phonenet", "demo"},
}

// owners lists, for a library, the only packages that may import it.
var owners = map[string][]string{
	"github.com/emiago/sipgo":             {"sip/*", "phonenet"},
	"github.com/icholy/digest":            {"sip/digest", "phonenet"},
	"github.com/pion/sdp":                 {"media/sdp", "phonenet"},
	"github.com/pion/rtp":                 {"media/rtp", "phonenet"},
	"github.com/pion/rtcp":                {"media/rtp", "phonenet"},
	"github.com/gobwas/ws":                {"media/engine", "front/stream", "demo"},
	"github.com/danielgtaylor/huma":       {"front/api"},
	"github.com/caarlos0/env":             {"config"},
	"golang.org/x/sys":                    {"media/engine", "sip/transport"},
	"net/http/pprof":                      {"gateway"},
	"text/template":                       {},
	"html/template":                       {},
	"github.com/prometheus/client_golang": {},
}

// outside lists packages that no product package may import: they carry tests.
var outside = []string{"test/", "sip/siptest"}

func TestEveryPackageImportsOnlyWhatItsRoomAllows(t *testing.T) {
	documented := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"testdata", "arch", "e2e", "bench", "examples"}, d.Name())) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		return checkFile(t, path, documented)
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package comment", pkg)
		}
	}
	for pkg := range rooms {
		if _, ok := documented[pkg]; !ok {
			t.Errorf("room %s is in the table but not in the tree", pkg)
		}
	}
}

// checkFile holds one file against the tables and notes whether it carries its package's comment.
func checkFile(t *testing.T, path string, documented map[string]bool) error {
	t.Helper()
	rel, err := filepath.Rel(root, filepath.Dir(path))
	if err != nil {
		return err
	}
	pkg := strings.TrimPrefix(filepath.ToSlash(rel), "internal/")
	may, ok := rooms[pkg]
	if !ok {
		t.Errorf("%s: package %s is not in the table of this test", path, pkg)
	}
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return err
	}
	documented[pkg] = documented[pkg] || f.Doc != nil
	for _, spec := range f.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if in, ok := strings.CutPrefix(imp, module+"/internal/"); ok {
			if !matches(may, in) {
				t.Errorf("%s imports %s; it may import only %v", path, in, may)
			}
			for _, prefix := range outside {
				if strings.HasPrefix(in, prefix) && !strings.HasPrefix(pkg, prefix) {
					t.Errorf("%s imports %s, which is for tests only", path, in)
				}
			}
		}
		for lib, who := range owners {
			if (imp == lib || strings.HasPrefix(imp, lib+"/")) && !matches(who, pkg) {
				t.Errorf("%s imports %s; only %v may", path, imp, who)
			}
		}
	}
	return nil
}

func matches(list []string, pkg string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		if folder, ok := strings.CutSuffix(entry, "*"); ok {
			return strings.HasPrefix(pkg, folder)
		}
		return entry == pkg
	})
}
