package progress

import (
	"strings"
	"testing"
)

// TestElsewhere: where there is no terminal, lines come seldom, but for the first and the last.
func TestElsewhere(t *testing.T) {
	var out strings.Builder
	b := New(&out, 4, 0)
	for i := int64(1); i <= 4; i++ {
		b.Show(i, func() string { return "step" })
	}
	b.Line("said %d", 1)
	b.End()
	lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], " 25 %  step") || !strings.HasPrefix(lines[1], "100 %  step") || lines[2] != "said 1" {
		t.Errorf("%q", lines)
	}
	if strings.ContainsAny(out.String(), "\r\x1b") {
		t.Errorf("control characters in %q", out.String())
	}
}
