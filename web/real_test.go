package web

import (
	"bufio"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The page on the real server, with the model inside the program: from the printed link to an answer.
func TestRealServer(t *testing.T) {
	if os.Getenv("SPRAT_BROWSER") == "" {
		t.Skip("set SPRAT_BROWSER=1 to run the page in a browser")
	}
	program := filepath.Join(t.TempDir(), "sprat")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/sprat").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := exec.Command(program, "serve", "--addr", "127.0.0.1:0", "--no-browser")
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, link, _ := strings.Cut(strings.TrimSpace(line), "http://")
	address, fragment, ok := strings.Cut(link, "/")
	if !ok || !strings.HasPrefix(fragment, "#key=") {
		t.Fatalf("no link in %q", line)
	}
	eachSize(t, func(t *testing.T, s size) {
		p := open(t, &backend{Server: &httptest.Server{URL: "http://" + address}}, s, fragment)
		p.until(`location.hash === '' && document.querySelector('.suggestions button')`)
		p.shot("real-welcome-" + s.name)
		p.click(".suggestions button")
		p.until(`document.querySelector('.answer > .prose')?.textContent.length > 0`)
		p.eval(`document.querySelector('button[aria-label=Stop]')?.click()`, nil) // it may have ended by itself
		p.done()
		p.click(".answer button[aria-expanded=false]") // the thought, to be looked at
		p.shot("real-thought-" + s.name)
		p.click(".think") // and the next answer without one
		p.askFast("What is 348 times 27?")
		p.until(`document.querySelectorAll('.turn').length === 2`)
		p.done()
		p.click(".turn:last-child button[aria-label='Speed and cache']")
		p.until(`/\d tokens\b/.test(document.querySelector('.details')?.textContent)`)
		p.shot("real-answer-" + s.name)
	})
}
