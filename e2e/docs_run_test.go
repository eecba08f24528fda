package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phonesocket/internal/audio/sample"
	"phonesocket/internal/audio/wav"
)

// bench is a demo on free ports, and a folder that looks like the repository, for the commands of the documents.
type bench struct {
	dir     string
	env     []string
	rewrite *strings.Replacer // from what a document says to what holds here
}

// startDemo runs the demo and makes a folder for the commands.
func startDemo(t *testing.T) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir()}
	ports := []string{fmt.Sprint(freePort(t)), fmt.Sprint(freePort(t)), fmt.Sprint(freePort(t))}
	g := &gateway{api: "http://127.0.0.1:" + ports[0]}
	g.process = start(t, t.TempDir(), []string{"API_PORT=" + ports[0], "SPEAK_PORT=" + ports[1], "LISTEN_PORT=" + ports[2]}, program, "demo")
	eventually(t, 15*time.Second, "the demo is ready", func() (bool, string) {
		status, body, err := g.try("GET", "/ready", nil)
		return err == nil && status == 200, fmt.Sprint(status, body, err)
	})
	b.link(t)
	tools := t.TempDir()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal(err)
	}
	// A refusal must fail the test, though a reader shall see it.
	script(t, filepath.Join(tools, "curl"), "#!/bin/sh\nexec "+curl+" -sS --fail-with-body --max-time 20 \"$@\"\n")
	b.rewrite = strings.NewReplacer(
		":8085", ":"+ports[0], ":8086", ":"+ports[1], ":8087", ":"+ports[2],
		"scripts/test-call.py ", "scripts/test-call.py --api http://localhost:"+ports[0]+" ",
		"go run ./cmd/phonesocket", program, "go run ./examples/client", filepath.Join(tools, "client"),
	)
	b.build(t, tools)
	b.env = []string{"PATH=" + tools + ":" + os.Getenv("PATH"), "HOME=" + b.dir, "PYTHONPATH=" + os.Getenv("PYTHONPATH")}
	return b
}

// link fills the folder with links to what the repository has.
func (b *bench) link(t *testing.T) {
	t.Helper()
	from, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == ".git" || e.Name() == ".env" {
			continue
		}
		if err := os.Symlink(filepath.Join(from, e.Name()), filepath.Join(b.dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

// build compiles the client of the examples for the ports of this demo.
func (b *bench) build(t *testing.T, tools string) {
	t.Helper()
	source := filepath.Join(t.TempDir(), "main.go")
	b.copy(t, "examples/client/main.go", source)
	cmd := exec.Command("go", "build", "-o", filepath.Join(tools, "client"), source)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build examples/client: %v\n%s", err, out)
	}
}

// copy copies a file of the repository with the ports of this demo in it.
func (b *bench) copy(t *testing.T, name, to string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, []byte(b.rewrite.Replace(string(raw))), 0o600); err != nil {
		t.Fatal(err)
	}
}

func script(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// run executes commands in the folder; the first that fails fails the test.
func (b *bench) run(t *testing.T, where string, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = b.dir, b.env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", where, err, out)
	}
}

func TestTheCommandsInTheDocumentsWork(t *testing.T) {
	peers(t, "curl", "python3")
	for name, least := range map[string]int{"README.md": 3, "README.de.md": 2, "docs/rest.md": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, demos, ran := startDemo(t), 0, 0
			for _, block := range readDocument(t, name).blocks() {
				where := fmt.Sprintf("%s:%d", name, block.line)
				switch {
				case block.language != "sh", strings.HasPrefix(block.note, "needs: "):
				case block.note == "run: demo":
					if demos++; block.text != "go run ./cmd/phonesocket demo\n" {
						t.Errorf("%s: this starts something else than the demo that is running here: %s", where, block.text)
					}
				default:
					ran++
					b.run(t, where, "sh", "-euxc", b.rewrite.Replace(block.text))
				}
			}
			if ran < least {
				t.Errorf("only %d blocks were run, want %d or more", ran, least)
			}
			if name == "README.md" {
				echoed(t, filepath.Join(b.dir, "heard-back.wav"))
			}
		})
	}
}

// echoed checks that a file holds the sentence of the demo.
func echoed(t *testing.T, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, heardRate, err := wav.Decode(raw)
	if err != nil || heardRate != 16000 {
		t.Fatalf("%s: %v, %d Hz; want a WAV of 16000 Hz", path, err, heardRate)
	}
	said, rate := sample.Speech()
	compare(t, "what the client heard", said, convert(t, got, heardRate, rate), rate)
}

func TestThePythonClientWorks(t *testing.T) {
	peers(t, "python3")
	b := startDemo(t)
	client := filepath.Join(t.TempDir(), "client.py")
	b.copy(t, "examples/client.py", client)
	b.run(t, "examples/client.py", "python3", "-m", "py_compile", client)
	python := ""
	for _, p := range []string{"python3", "/usr/bin/python3"} { // Debian's package serves the latter
		if python == "" && exec.Command(p, "-c", "import websockets").Run() == nil {
			python = p
		}
	}
	switch {
	case python == "" && os.Getenv("CI") != "":
		t.Fatal("no python3 has the package websockets: run scripts/install-test-tools.sh")
	case python == "":
		t.Skip("no python3 has the package websockets: examples/client.py was only compiled, not run")
	}
	b.run(t, "examples/client.py", "sh", "-euc", python+" "+client+" 100 internal/audio/sample/speech.wav > heard-back.wav")
	echoed(t, filepath.Join(b.dir, "heard-back.wav"))
}
