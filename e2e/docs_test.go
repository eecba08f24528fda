package e2e

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"phonesocket/internal/config"
)

// root is the folder of the repository, seen from this package.
const root = ".."

// document is one Markdown file.
type document struct {
	name  string // relative to root, with slashes
	text  string
	prose string // the text with code blocks emptied; lines keep their places
}

// block is a fenced piece of a document.
type block struct {
	document, language, text string
	line                     int
	note                     string // the comment before it: "needs: account", "run: demo" …
}

var (
	fence   = regexp.MustCompile("^\\s*```\\s*(\\w*)\\s*$")
	comment = regexp.MustCompile(`^\s*<!--\s*(.*?)\s*-->\s*$`)
	heading = regexp.MustCompile(`^#{1,6}\s+(.+?)\s*#*$`)
	link    = regexp.MustCompile(`!?\[[^\]]*\]\(([^)\s]+)[^)]*\)`)
	span    = regexp.MustCompile("`([^`]+)`")
)

// documents returns every Markdown file of the repository.
func documents(t *testing.T) []document {
	t.Helper()
	var all []document
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || d.Name() == "dist" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		all = append(all, readDocument(t, filepath.ToSlash(name)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 8 {
		t.Fatalf("only %d documents found", len(all))
	}
	return all
}

func readDocument(t *testing.T, name string) document {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	d := document{name: name, text: string(raw)}
	inside := false
	var prose []string
	for line := range strings.Lines(d.text) {
		line = strings.TrimSuffix(line, "\n")
		if fence.MatchString(line) {
			inside, line = !inside, ""
		}
		if inside {
			line = ""
		}
		prose = append(prose, line)
	}
	if inside {
		t.Errorf("%s: a code block is not closed", name)
	}
	d.prose = strings.Join(prose, "\n")
	return d
}

// blocks returns the code blocks of a document.
func (d document) blocks() []block {
	var all []block
	var open *block
	note, indent := "", ""
	for i, line := range strings.Split(d.text, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case m != nil && open == nil:
			open = &block{document: d.name, language: m[1], line: i + 1, note: note}
			indent = line[:strings.Index(line, "```")]
		case m != nil:
			all = append(all, *open)
			open, note = nil, ""
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		case comment.MatchString(line):
			note = comment.FindStringSubmatch(line)[1]
		case strings.TrimSpace(line) != "":
			note = ""
		}
	}
	return all
}

// anchors returns the names that the headings get, as GitHub and others make them.
func (d document) anchors() map[string]bool {
	all := map[string]bool{}
	for line := range strings.SplitSeq(d.prose, "\n") {
		m := heading.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		var b strings.Builder
		for _, r := range strings.ToLower(m[1]) {
			switch {
			case r == ' ':
				b.WriteByte('-')
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 0xc0:
				b.WriteRune(r)
			}
		}
		name := b.String()
		for n := 1; all[name]; n++ {
			name = fmt.Sprintf("%s-%d", b.String(), n)
		}
		all[name] = true
	}
	return all
}

func TestEveryLinkInTheDocumentsLeadsSomewhere(t *testing.T) {
	links := 0
	for _, d := range documents(t) {
		for i, line := range strings.Split(d.prose, "\n") {
			for _, m := range link.FindAllStringSubmatch(span.ReplaceAllString(line, "code"), -1) {
				links++
				if err := follow(t, d, m[1]); err != nil {
					t.Errorf("%s:%d: %v", d.name, i+1, err)
				}
			}
		}
	}
	if links < 40 {
		t.Errorf("only %d links found: does the test still see them?", links)
	}
}

// follow checks one link; those to the outside are not followed.
func follow(t *testing.T, from document, target string) error {
	t.Helper()
	if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return nil
	}
	path, anchor, hasAnchor := strings.Cut(target, "#")
	to := from
	if path != "" {
		name := filepath.ToSlash(filepath.Join(filepath.Dir(from.name), path))
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			return fmt.Errorf("link to %s: %w", target, err)
		}
		if !hasAnchor {
			return nil
		}
		to = readDocument(t, name)
	}
	if !to.anchors()[anchor] {
		return fmt.Errorf("link to %s: no heading of %s is called so", target, to.name)
	}
	return nil
}

func TestThePictureIsWellFormed(t *testing.T) {
	file, err := os.Open(filepath.Join(root, "docs/call.svg"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	d := xml.NewDecoder(file)
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// settings returns the names of all settings, from .env.example, which is written from the program.
func settings(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, ".env.example"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^#?([A-Z][A-Z0-9_]+)=`).FindAllStringSubmatch(string(raw), -1) {
		names = append(names, m[1])
	}
	if len(names) < 30 {
		t.Fatalf("only %d settings in .env.example", len(names))
	}
	return names
}

func TestTheDocumentsNameOnlySettingsThatThereAre(t *testing.T) {
	known := settings(t)
	// Of compose, of the image, and names that stand for others.
	known = append(known, "PUBLISH_ON", "PUBLISH_API", "PUBLISH_SPEAK", "PUBLISH_LISTEN", "BASE_IMAGE", "SIP_PASSWORT")
	prefix := regexp.MustCompile(`\b(?:SIP|RTP|DIAL|API|HTTP|SPEAK|LISTEN|PUBLIC|PUBLISH|MAX|CALLS|RING|ON|DISCONNECT|DRAIN|LOG|BASE)_[A-Z0-9_]*[A-Z0-9]\b`)
	for _, d := range documents(t) {
		for i, line := range strings.Split(d.text, "\n") {
			for _, name := range prefix.FindAllString(line, -1) {
				if !slices.Contains(known, name) && !slices.Contains(known, strings.TrimSuffix(name, "_FILE")) {
					t.Errorf("%s:%d: there is no setting %s", d.name, i+1, name)
				}
			}
		}
	}
}

func TestTheLinesForEachProviderAreSettingsThatTheProgramTakes(t *testing.T) {
	lines := 0
	for _, name := range []string{"README.md", "docs/providers.md"} {
		for row := range strings.SplitSeq(readDocument(t, name).prose, "\n") {
			if !strings.HasPrefix(row, "| ") || !strings.Contains(row, "`SIP_SERVER=") {
				continue
			}
			lines++
			cells := strings.Split(row, "|")
			var environ []string
			for _, m := range span.FindAllStringSubmatch(cells[2], -1) {
				environ = append(environ, strings.ReplaceAll(m[1], "…", "12"))
			}
			cfg, err := config.Load(environ)
			if err != nil {
				t.Errorf("%s:%s: %v", name, cells[1], err)
				continue
			}
			if len(cfg.Warnings) > 0 {
				t.Errorf("%s:%s: %v", name, cells[1], cfg.Warnings)
			}
		}
	}
	if lines < 20 {
		t.Errorf("only %d providers found", lines)
	}
}

func TestShellBlocksHaveNoSyntaxError(t *testing.T) {
	found := 0
	for _, d := range documents(t) {
		for _, b := range d.blocks() {
			if b.language != "sh" {
				continue
			}
			found++
			cmd := exec.Command("sh", "-n")
			cmd.Stdin = strings.NewReader(b.text)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %v: %s", b.document, b.line, err, out)
			}
		}
	}
	if found < 15 {
		t.Errorf("only %d shell blocks found", found)
	}
}

func TestComposeBlocksAreTakenByCompose(t *testing.T) {
	compose := []string{"docker-compose"}
	if _, err := exec.LookPath("docker-compose"); err != nil {
		compose = []string{"docker", "compose"}
		if err := exec.Command("docker", "compose", "version").Run(); err != nil {
			peers(t, "docker-compose")
		}
	}
	found := 0
	for _, d := range documents(t) {
		for _, b := range d.blocks() {
			kind, isCompose := strings.CutPrefix(b.note, "compose: ")
			if b.language == "yaml" && !isCompose {
				t.Errorf("%s:%d: a yaml block without <!-- compose: override --> or <!-- compose: alone -->", b.document, b.line)
			}
			if !isCompose {
				continue
			}
			found++
			dir := t.TempDir()
			copyFile(t, filepath.Join(root, "docker-compose.yml"), filepath.Join(dir, "docker-compose.yml"))
			copyFile(t, filepath.Join(root, ".env.example"), filepath.Join(dir, ".env"))
			name := "docker-compose.override.yml"
			if kind == "alone" {
				name = "docker-compose.yml"
			}
			for name, text := range map[string]string{name: b.text, "sip_password.txt": "x", "api_token.txt": "x"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command(compose[0], append(compose[1:], "config")...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %v: %s", b.document, b.line, err, out)
			}
		}
	}
	if found < 3 {
		t.Errorf("only %d compose blocks found", found)
	}
}

func TestThePythonClientInTheReadmeIsTheOneInTheExamples(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(root, "examples/client.py"))
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ := strings.Cut(string(raw), "\n") // behind the line that says what it is
	for _, b := range readDocument(t, "README.md").blocks() {
		if b.language == "python" && b.text == want {
			return
		}
	}
	t.Error("README.md does not show examples/client.py as it is")
}

// defaults returns the default of each setting, from the reference that is written from the program.
func defaults(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	row := regexp.MustCompile("(?m)^\\| `([A-Z0-9_]+)` \\| `([^`]+)` \\|")
	for _, m := range row.FindAllStringSubmatch(readDocument(t, "docs/configuration.md").text, -1) {
		all[m[1]] = m[2]
	}
	return all
}

func TestTheDocumentsNameTheRightDefaults(t *testing.T) {
	known := defaults(t)
	// "`DRAIN_TIMEOUT` (20 s)", "`MAX_CALLS` 10,"
	claim := regexp.MustCompile("`([A-Z]+_[A-Z_]+)` \\(?([0-9]+(?: (?:s|min|h))?|[A-Z]{2})[),.]")
	found := 0
	for _, d := range documents(t) {
		for _, m := range claim.FindAllStringSubmatch(strings.ReplaceAll(d.prose, "\n", " "), -1) {
			found++
			got := strings.ReplaceAll(strings.ReplaceAll(m[2], " ", ""), "min", "m")
			if want := known[m[1]]; got != want {
				t.Errorf("%s: the default of %s is said to be %q, and is %q", d.name, m[1], m[2], want)
			}
		}
	}
	if found < 8 {
		t.Errorf("only %d defaults found", found)
	}
}
