package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"phonesocket/internal/config"
)

// version is set by the linker: -ldflags "-X main.version=v1.2.3".
var version string

// versionName returns the version given to the linker, else what the Go command
// knows about the module or its revision, else "dev".
func versionName() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, modified := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = "-" + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "+dirty"
		}
	}
	return "dev" + revision + modified
}

func (p program) version(_ context.Context, args []string) error {
	if err := noArguments("version", args); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.stdout, "phonesocket %s (%s, %s/%s)\n", versionName(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func (p program) env(_ context.Context, args []string) error {
	switch {
	case len(args) == 0:
		return config.WriteReference(p.stdout)
	case len(args) == 1 && strings.TrimLeft(args[0], "-") == "example":
		return config.WriteExample(p.stdout)
	}
	return usageError{"env takes --example or nothing"}
}

const helpText = `A phone line as a WebSocket: REST on 8085, audio to speak on 8086, audio heard on 8087.

Try it without an account:    phonesocket demo
Start with your account:      SIP_SERVER=sip.example.com SIP_USER=… SIP_PASSWORD=… phonesocket
Place a call:                 curl localhost:8085/call -d '{"to":"+4930123456"}'
Speak (raw PCM, 16 kHz):      ws://localhost:8086/
Listen:                       ws://localhost:8087/
Hang up:                      curl -X POST localhost:8085/hangup
Documentation of the API:     http://localhost:8085/docs

Subcommands:
`

func (p program) help(context.Context, []string) error {
	var b strings.Builder
	b.WriteString(helpText)
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-9s %s\n", c.name, c.summary)
	}
	_, err := fmt.Fprint(p.stdout, b.String())
	return err
}
