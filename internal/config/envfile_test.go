package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnEnvFileIsReadAsDockerReadsIt(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
		err        string
	}{
		{name: "comments and empty lines are skipped", text: "# account\n\nSIP_USER=alice\n  # more\n", want: []string{"SIP_USER=alice"}},
		{name: "spaces, quotes and dollars are part of the value", text: "SIP_DISPLAY_NAME=Example Ltd\nSIP_PASSWORD=a$b;'c\"#d\n", want: []string{"SIP_DISPLAY_NAME=Example Ltd", "SIP_PASSWORD=a$b;'c\"#d"}},
		{name: "line ends of Windows are no part of the value", text: "SIP_USER=alice\r\n", want: []string{"SIP_USER=alice"}},
		{name: "a value may be empty and may hold an equals sign", text: "A=\nB=c=d", want: []string{"A=", "B=c=d"}},
		{name: "a line without a value is told with its number", text: "A=1\nSIP_USER alice\n", err: "line 2 is not NAME=value"},
		{name: "export is not NAME", text: "export SIP_USER=alice\n", err: "line 1 is not NAME=value"},
		{name: "a line that never ends is refused", text: "A=" + strings.Repeat("x", 1<<17), err: "too long"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ReadEnvFile(strings.NewReader(test.text))
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error = %v, want %q", err, test.err)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("error %v; want, got:\n%s", err, diff)
			}
		})
	}
}
