package config

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write .env.example and docs/configuration.md anew")

func TestCheckedInDocumentsAreWrittenFromTheStruct(t *testing.T) {
	for path, write := range map[string]func(io.Writer) error{
		"../../.env.example":          WriteExample,
		"../../docs/configuration.md": WriteReference,
	} {
		var want strings.Builder
		if err := write(&want); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(want.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.String(), string(got)); diff != "" {
			t.Errorf("%s is out of date; run go test ./internal/config -update\n%s", path, diff)
		}
	}
}

func TestEveryVariableIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range groups() {
		for _, v := range g.variables {
			if seen[v.name] {
				t.Errorf("%s exists twice", v.name)
			}
			seen[v.name] = true
			if v.name == "" || !strings.HasSuffix(v.doc, ".") || v.example == "" || forms[v.form] == nil {
				t.Errorf("%+v lacks a name, a sentence, an example or a form", v)
				continue
			}
			if v.form == "pem" { // its example is a file that need not exist
				continue
			}
			if _, err := forms[v.form](v, v.example); err != nil {
				t.Errorf("the example of %s: %v", v.name, err)
			}
		}
	}
	if len(seen) != 49 {
		t.Errorf("%d variables were found, want 49", len(seen))
	}
}

func TestTheExampleStartsWhenTheThreeAreFilledIn(t *testing.T) {
	var text strings.Builder
	if err := WriteExample(&text); err != nil {
		t.Fatal(err)
	}
	example := strings.NewReplacer("SIP_SERVER=\n", "SIP_SERVER=a.example\n", "SIP_USER=\n", "SIP_USER=u\n",
		"SIP_PASSWORD=\n", "SIP_PASSWORD=p\n").Replace(text.String())
	cfg, err := Load(strings.Split(example, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) > 0 {
		t.Error(cfg.Warnings)
	}
}
