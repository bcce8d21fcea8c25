package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"sprat/report"
)

// records makes run directories, each with the record of a short run.
func records(t *testing.T, names ...string) (dirs []string) {
	t.Helper()
	for i, name := range names {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf(`{"kind":"run","name":%q,"cores":2,"flops_per_token":2e9,"peak_flops":1e12,"dollars_per_core_hour":0.04,"params":12600000}
{"kind":"step","step":1,"tokens":1000000,"seconds":%d,"loss":3}
{"kind":"valid","step":1,"tokens":1000000,"seconds":%[2]d,"source":"stories","nats":3,"bits_per_byte":1.%[3]d}
`, name, 3600+i, 5+i)
		writeFile(t, filepath.Join(dir, report.MetricsFile), text)
		dirs = append(dirs, dir)
	}
	return dirs
}

func TestCompareOneRun(t *testing.T) {
	dir := records(t, "alone")[0]
	out := must(t, "", "compare", dir)
	page := filepath.Join(dir, report.PageFile)
	if !strings.Contains(out, "alone") || !strings.HasSuffix(out, "wrote "+page+"\n") || strings.Contains(out, "To reach") {
		t.Errorf("compare printed %s", out)
	}
	for _, path := range []string{page, filepath.Join(dir, report.LedgerFile)} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	elsewhere := filepath.Join(t.TempDir(), "page.html")
	other := records(t, "other")[0]
	must(t, "", "compare", other, "--out", elsewhere)
	if _, err := os.Stat(elsewhere); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(other, report.PageFile)); err == nil {
		t.Error("compare --out wrote into the run's directory")
	}
}

func TestCompareRuns(t *testing.T) {
	dirs := records(t, "one", "two")
	t.Chdir(t.TempDir())
	out := must(t, "", "compare", dirs[0], dirs[1])
	for _, want := range []string{"one ", "two ", "To reach 1.600 bits per byte on stories\n", "≤ 1.00 M", "\nwrote compare.html\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	page, err := os.ReadFile("compare.html")
	if err != nil || !strings.Contains(string(page), "2 runs compared") {
		t.Errorf("the page: %v, %.300s", err, page)
	}
	first := must(t, "", "compare", "--json", dirs[0], dirs[1])
	if second := must(t, "", "compare", "--json", dirs[0], dirs[1]); second != first || strings.Count(first, "\n") != 1 {
		t.Errorf("--json printed\n%sand then\n%s", first, second)
	}
	var got struct {
		report.Comparison
		Page string
	}
	if err := json.Unmarshal([]byte(first), &got); err != nil {
		t.Fatal(err)
	}
	if got.Page != "compare.html" || len(got.Runs) != 2 || got.Runs[1].Name != "two" || got.Runs[1].BitsPerByte["stories"] != 1.6 || len(got.Targets) != 1 {
		t.Errorf("--json says %+v", got)
	}
}

// TestCompareSaysWhatToDo has directories that are no run's.
func TestCompareSaysWhatToDo(t *testing.T) {
	good := records(t, "good")[0]
	empty := t.TempDir()
	for _, args := range [][]string{
		{empty}, {filepath.Join(empty, "nowhere")}, {good, empty}, {filepath.Join(good, report.MetricsFile)}, {"--json", empty},
	} {
		out, errs, status := sprat(t, "", append([]string{"compare"}, args...)...)
		if status != 1 || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "has no metrics.jsonl: give the directory") {
			t.Errorf("compare %v: status %d, %q, %q", args, status, out, errs)
		}
	}
	_, errs, status := sprat(t, "", "compare", good, "--out", filepath.Join(empty, "no", "page.html"))
	if status != 1 || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "page.html") {
		t.Errorf("a page that cannot be written: status %d, %q", status, errs)
	}
	if _, errs, status := sprat(t, "", "compare"); status != exitUsage || strings.Count(errs, "\n") != 1 {
		t.Errorf("no run: status %d, %q", status, errs)
	}
}

// TestTablesFitTheTerminal prints on terminals wide and narrow, and into a file.
func TestTablesFitTheTerminal(t *testing.T) {
	table := report.Table{
		Title: "To reach 1.500 bits per byte on a source of a long name",
		Head:  []string{"run", "tokens", "FLOPs", "time", "FLOPs/first's", "time/first's"},
		Rows:  [][]string{{"muon-2e-3", "410 k", "1.63·10¹³", "5:40 min", "1.00", "1.00"}, {"a-name-of-forty-one-letters-and-more-still", "≤ 1", "–", "–", "–", "–"}},
	}
	short := table
	short.Rows = table.Rows[:1]
	for _, c := range []struct {
		table report.Table
		width int
		want  string
	}{
		{short, 80, `To reach 1.500 bits per byte on a source of a long name
run        tokens  FLOPs      time      FLOPs/first's  time/first's
muon-2e-3  410 k   1.63·10¹³  5:40 min  1.00           1.00
`},
		{short, 40, `To reach 1.500 bits per byte on a sourc…
muon-2e-3
  tokens         410 k
  FLOPs          1.63·10¹³
  time           5:40 min
  FLOPs/first's  1.00
  time/first's   1.00
`},
		{table, 40, `To reach 1.500 bits per byte on a sourc…
muon-2e-3
  tokens         410 k
  FLOPs          1.63·10¹³
  time           5:40 min
  FLOPs/first's  1.00
  time/first's   1.00
a-name-of-forty-one-letters-and-more-st…
  tokens         ≤ 1
  FLOPs          –
  time           –
  FLOPs/first's  –
  time/first's   –
`},
	} {
		var b bytes.Buffer
		printTable(&b, c.table, c.width)
		if b.String() != c.want {
			t.Errorf("%d columns:\n%swant\n%s", c.width, b.String(), c.want)
		}
	}
	for width := range 130 {
		var b bytes.Buffer
		printTable(&b, table, width)
		for line := range strings.Lines(b.String()) {
			if n := utf8.RuneCountInString(line) - 1; width > 0 && n > width {
				t.Errorf("a line of %d on a terminal of %d: %s", n, width, line)
			}
		}
		if lines := strings.Count(b.String(), "\n"); lines != 4 && (width == 0 || width > 120) {
			t.Errorf("%d lines where there is room for a table", lines)
		}
	}
}
