package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// maxFileBytes bounds what NAME_FILE and SIP_TLS_CA may point to.
const maxFileBytes = 1 << 20

// Load reads the settings from environ, a list of NAME=value as os.Environ
// gives it (of a name given twice the last counts; an empty value is the same as
// none). For every variable NAME, NAME_FILE may instead name a file that holds
// the value, one trailing line break aside.
//
// If anything is missing, wrong or unknown the error is an *Error with all
// problems at once. Load never panics and shows no secret.
func Load(environ []string) (*Config, error) { return load(environ, readFile) }

func load(environ []string, read func(path string) (string, error)) (*Config, error) {
	l := &loader{read: read, given: toMap(environ), values: map[string]string{}, groups: groups()}
	l.warnQuotes()
	for _, g := range l.groups {
		for _, v := range g.variables {
			l.take(v)
		}
	}
	l.unknown()
	cfg := new(Config)
	l.fill(cfg)
	if len(l.problems) == 0 {
		l.check(cfg)
	} else {
		l.checkNeeded(cfg)
	}
	if len(l.problems) > 0 {
		return nil, &Error{Problems: l.problems}
	}
	slices.Sort(l.warnings)
	cfg.Warnings = l.warnings
	return cfg, nil
}

// LoadHTTP reads only where the doors are, for a process that looks at another
// one's health and needs no account. What is wrong elsewhere is not its business.
func LoadHTTP(environ []string) (HTTP, error) {
	l := &loader{read: readFile, given: toMap(environ), values: map[string]string{}}
	for _, g := range groups() {
		if g.of != reflect.TypeFor[HTTP]() {
			continue
		}
		l.groups = []group{g}
		for _, v := range g.variables {
			if v.name != "API_TOKEN" { // health asks for none, and its file may be another user's
				l.take(v)
			}
		}
	}
	cfg := new(Config)
	l.fill(cfg)
	if len(l.problems) > 0 {
		return HTTP{}, &Error{Problems: l.problems}
	}
	return cfg.HTTP, nil
}

type loader struct {
	read     func(path string) (string, error)
	given    map[string]string // as the environment has it, without empty values
	values   map[string]string // checked and in canonical form
	groups   []group
	problems []Problem
	warnings []string
}

func (l *loader) problem(name, value, format string, args ...any) {
	l.problems = append(l.problems, Problem{Variable: name, Value: value, Text: fmt.Sprintf(format, args...)})
}

func (l *loader) warn(format string, args ...any) {
	l.warnings = append(l.warnings, fmt.Sprintf(format, args...))
}

// take finds the value of one variable, checks its form and keeps the result.
func (l *loader) take(v variable) {
	value, source, ok := l.find(v)
	if !ok {
		return
	}
	if v.form != "pem" && strings.ContainsFunc(value, isControl) {
		l.problem(source, "", "contains a line break or another control character; expected %s", v.expected())
		return
	}
	if v.form == "pem" {
		l.takePEM(v, source, value)
		return
	}
	if v.form == "port" && injected(v.name, value) {
		l.warn("%s=%s was set by Kubernetes for a service of that name and is ignored; %s is used. "+
			"Set enableServiceLinks: false in the pod to get rid of it.", v.name, value, v.def)
		return
	}
	canonical, err := forms[v.form](v, value)
	if err != nil {
		l.problem(source, v.show(value), "%v; expected %s", err, v.expected())
		return
	}
	l.values[v.name] = canonical
}

// find returns the value and the variable to blame for it.
func (l *loader) find(v variable) (value, source string, ok bool) {
	file := v.name + "_FILE"
	value, direct := l.given[v.name]
	path, fromFile := l.given[file]
	switch {
	case direct && fromFile:
		l.problem(file, "", "is set together with %s; set only one of them", v.name)
		return "", "", false
	case direct:
		if v.form == "secret" || v.form == "pem" {
			return value, v.name, true
		}
		return strings.TrimSpace(value), v.name, true
	case !fromFile:
		return "", "", false
	}
	content, err := l.read(path)
	if err != nil {
		l.problem(file, quote(path), "%v; expected a readable file that holds the value of %s", err, v.name)
		return "", "", false
	}
	content = strings.TrimSuffix(strings.TrimSuffix(content, "\n"), "\r")
	if content == "" {
		l.problem(file, quote(path), "the file is empty; expected the value of %s in it", v.name)
		return "", "", false
	}
	return content, file, true
}

func (l *loader) takePEM(v variable, source, value string) {
	if !strings.Contains(value, "-----BEGIN") {
		path := strings.TrimSpace(value)
		content, err := l.read(path)
		if err != nil {
			l.problem(source, quote(path), "%v; expected %s", err, v.expected())
			return
		}
		value = content
	}
	if err := checkPEM(value); err != nil {
		l.problem(source, "", "%v; expected %s", err, v.expected())
		return
	}
	l.values[v.name] = value
}

// fill sets the fields of cfg from the checked values, one group at a time.
func (l *loader) fill(cfg *Config) {
	options := env.Options{Environment: maps.Clone(l.values), FuncMap: map[reflect.Type]env.ParserFunc{}}
	for _, g := range l.groups {
		for _, v := range g.variables {
			if _, ok := l.values[v.name]; !ok && v.def != "" {
				// Defaults go the same way as what the user writes.
				canonical, err := forms[v.form](v, v.def)
				if err != nil {
					l.problem(v.name, quote(v.def), "the default is wrong: %v", err)
				}
				options.Environment[v.name] = canonical
			}
		}
		target := reflect.ValueOf(cfg).Elem().Field(g.index).Addr().Interface()
		if err := env.ParseWithOptions(target, options); err != nil {
			l.problem(g.title, "", "cannot be read: %v", err)
		}
	}
}

// toMap keeps the last of several values; an empty value counts as none.
func toMap(environ []string) map[string]string {
	m := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, ok := strings.Cut(entry, "=")
		if !ok || name == "" {
			continue
		}
		if value == "" {
			delete(m, name)
			continue
		}
		m[name] = value
	}
	return m
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }

func readFile(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // the user of the program names this file
	if err != nil {
		return "", cause(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return "", cause(err)
	}
	if len(content) > maxFileBytes {
		return "", errors.New("the file is larger than 1 MiB")
	}
	return string(content), nil
}

// cause drops the operation and path that the message names anyway.
func cause(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err
	}
	return err
}
