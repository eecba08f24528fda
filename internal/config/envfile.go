package config

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// ReadEnvFile reads a file as docker's --env-file does: one NAME=value a line,
// taken as it stands, without quotes, escapes or substitution; empty lines and
// lines that begin with # are skipped. What it returns can be given to Load.
func ReadEnvFile(r io.Reader) ([]string, error) {
	var environ []string
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimLeft(strings.TrimSuffix(lines.Text(), "\r"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("line %d is not NAME=value", n)
		}
		environ = append(environ, line)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return environ, nil
}
