// Command phonesocket is a phone line as a WebSocket: it registers at a SIP
// provider, dials when told by REST, and carries the audio of the call over two
// WebSockets. "phonesocket help" lists its subcommands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"phonesocket/internal/config"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // something went wrong while running; health: not healthy
	exitUsage  = 2 // the command line or a setting is wrong: trying again does not help
)

func main() {
	p := program{environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(p.run(context.Background(), os.Args[1:]))
}

// program is one start of the command with everything it touches.
type program struct {
	environ        []string
	stdout, stderr io.Writer
}

// command is one subcommand. Its run gets the arguments after its name.
type command struct {
	name, summary string
	run           func(p program, ctx context.Context, args []string) error
}

// commands returns the subcommands in the order in which help shows them.
func commands() []command {
	return []command{
		{"run", "register and serve; this is the default (--env-file FILE: settings from a file)", program.serve},
		{"demo", "try everything on this machine, without any account (--check: prove it and exit)", program.demo},
		{"phonenet", "only the telephone network of the demo, for a gateway elsewhere", program.phonenet},
		{"health", "ask the running gateway whether it is well; exit code 0 or 1", program.health},
		{"env", "print all settings (--example: as a file .env)", program.env},
		{"version", "print the version", program.version},
		{"help", "print this", program.help},
	}
}

// usageError is a mistake on the command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// run executes one command line and returns the exit code.
func (p program) run(ctx context.Context, args []string) int {
	err := p.dispatch(ctx, args)
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintln(p.stderr, "phonesocket: "+err.Error())
	var usage usageError
	var settings *config.Error
	if errors.As(err, &usage) || errors.As(err, &settings) {
		return exitUsage
	}
	return exitFailed
}

func (p program) dispatch(ctx context.Context, args []string) error {
	name := "run"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case "-h", "-help", "--help":
		name = "help"
	case "-v", "-version", "--version":
		name = "version"
	}
	var names []string
	for _, c := range commands() {
		if c.name == name {
			return c.run(p, ctx, args)
		}
		names = append(names, c.name)
	}
	text := fmt.Sprintf("there is no subcommand %q", name)
	if best, d := config.Nearest(name, names); d <= 2 {
		text += fmt.Sprintf("; did you mean %q?", best)
	}
	return usageError{text + "\n\"phonesocket help\" lists the subcommands."}
}

// noArguments refuses what the subcommand would otherwise ignore.
func noArguments(name string, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Sprintf("%s takes no argument %q; settings come from the environment, see \"phonesocket env\"", name, args[0])}
	}
	return nil
}
