package config

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

const exampleHead = `# Settings of phonesocket. Copy this file to .env and fill in the first three.
# Write values without quotes. Instead of NAME=value, NAME_FILE=path reads the
# value from a file, for passwords and tokens kept as secrets.

`

const referenceHead = `# Configuration

phonesocket is configured by environment variables; with Docker Compose, or with run --env-file, they stand in a file such as ` + "`.env`" + `.
Three are needed, everything else has a default.

- A missing or wrong value stops the start, with one message that names every such variable and says what is expected.
- An unknown variable that begins with ` + "`SIP_`" + ` stops the start too, as it is most likely a typing error.
- An empty value is the same as no value.
- For every variable ` + "`NAME`" + `, ` + "`NAME_FILE`" + ` may name a file that holds the value (one line break at its end is removed); setting both is an error.
- Durations are written as ` + "`90s`, `1m30s`, `2h`" + ` or as plain seconds.

This page is written from the program itself: ` + "`phonesocket env`" + ` prints it, and ` + "`phonesocket env --example`" + ` prints ` + "`.env.example`" + `.
`

// WriteExample writes .env.example: every variable with its sentence, grouped,
// the needed ones first.
func WriteExample(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString(exampleHead)
	heading(&b, "Needed")
	for _, g := range groups() {
		for _, v := range g.variables {
			if v.needed {
				comment(&b, v.doc+" Example: "+v.example)
				b.WriteString(v.name + "=\n\n")
			}
		}
	}
	for _, g := range groups() {
		heading(&b, g.title)
		for _, v := range g.variables {
			if v.needed {
				continue
			}
			text := v.doc
			if v.def != "" {
				text += " Expected: " + v.expected() + "."
			}
			comment(&b, text)
			value := v.def
			if value == "" {
				value = v.example
			}
			b.WriteString("#" + v.name + "=" + value + "\n\n")
		}
	}
	_, err := w.Write(append(bytes.TrimRight(b.Bytes(), "\n"), '\n'))
	return err
}

func heading(b *bytes.Buffer, title string) {
	fmt.Fprintf(b, "# ---- %s %s\n\n", title, strings.Repeat("-", 70-len(title)))
}

// comment writes text as lines of at most 78 characters.
func comment(b *bytes.Buffer, text string) {
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > 78 {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// WriteReference writes docs/configuration.md: one table for each group.
func WriteReference(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString(referenceHead)
	for _, g := range groups() {
		fmt.Fprintf(&b, "\n## %s\n\n| variable | default | example | meaning |\n|---|---|---|---|\n", g.title)
		for _, v := range g.variables {
			def := code(v.def)
			if v.needed {
				def = "**needed**"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s Expected: %s. |\n", v.name, def, code(v.example), cell(v.doc), cell(v.expected()))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func code(text string) string {
	if text == "" {
		return "–"
	}
	return "`" + text + "`"
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
