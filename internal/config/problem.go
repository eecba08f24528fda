package config

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong with one variable.
type Problem struct {
	Variable string // name of the variable
	Value    string // its value for showing: quoted, a secret masked; empty when there is none to show
	Text     string // what is wrong and what is expected
}

// String returns the problem as one line.
func (p Problem) String() string {
	if p.Value != "" {
		return p.Variable + "=" + p.Value + " " + p.Text
	}
	return p.Variable + " " + p.Text
}

// Error lists everything that keeps the program from starting.
type Error struct{ Problems []Problem }

// Error returns one message with a line for each problem.
func (e *Error) Error() string {
	var b strings.Builder
	if n := len(e.Problems); n == 1 {
		b.WriteString("one setting needs your attention:\n")
	} else {
		fmt.Fprintf(&b, "%d settings need your attention:\n", n)
	}
	for _, p := range e.Problems {
		b.WriteString("  " + p.String() + "\n")
	}
	b.WriteString("Settings come from the environment (with Docker Compose from the file .env); \"phonesocket env\" lists them all.")
	return b.String()
}
