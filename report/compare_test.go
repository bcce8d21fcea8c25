package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// evaluated is the record of a run of 2 FLOPs a token with evaluations of one source: bits per byte every 100 tokens and so many seconds.
func evaluated(source string, seconds int, bits ...float64) string {
	var b strings.Builder
	b.WriteString(`{"kind":"run","flops_per_token":2}` + "\n")
	for i, v := range bits {
		at := fmt.Sprintf(`"step":%d,"tokens":%d,"seconds":%d`, i+1, 100*(i+1), seconds*(i+1))
		fmt.Fprintf(&b, `{"kind":"step",%s,"loss":%v}`+"\n"+`{"kind":"valid",%s,"source":%q,"bits_per_byte":%v}`+"\n", at, 2*v, at, source, v)
	}
	return b.String()
}

// named reads a record from a directory of that name.
func named(t *testing.T, name, text string) *Run {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, MetricsFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestTargets is an example by hand. The worst run ends at 1.5 bits. The first comes from 2 to 1 between 200 and 300 tokens, so is
// there half way; the second is there at its end; the third is below 1.5 from its first evaluation, and later above it.
func TestTargets(t *testing.T) {
	runs := []*Run{
		named(t, "first", evaluated("s", 10, 3, 2, 1, 0.5)),
		named(t, "worst", evaluated("s", 40, 4, 1.5)),
		named(t, "third", evaluated("s", 1, 1.25, 1.75, 1)),
	}
	c := Compare(runs)
	want := []Target{{Source: "s", BitsPerByte: 1.5, Reached: []Reached{
		{Tokens: 250, FLOPs: 500, Seconds: 25},
		{Tokens: 200, FLOPs: 400, Seconds: 80},
		{Tokens: 100, FLOPs: 200, Seconds: 1, AtMost: true},
	}}}
	if !reflect.DeepEqual(c.Targets, want) {
		t.Errorf("the targets are %+v\nwant %+v", c.Targets, want)
	}
	tables := c.Tables()
	if len(tables) != 2 || tables[1].Title != "To reach 1.500 bits per byte on s" {
		t.Fatalf("the tables are %+v", tables)
	}
	if got, want := tables[1].Rows, [][]string{
		{"first", "250", "500", "25.0 s", "1.00", "1.00"},
		{"worst", "200", "400", "1:20 min", "0.80", "3.20"},
		{"third", "≤ 100", "200", "1.0 s", "0.40", "0.04"},
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("the table says %v\nwant %v", got, want)
	}
}

// TestTargetAfterGoingBack: work that was lost neither reaches a target nor is counted on the way to it.
func TestTargetAfterGoingBack(t *testing.T) {
	text := evaluated("s", 10, 3, 2, 1) + `{"kind":"resume","step":2,"tokens":200,"seconds":20}` + "\n" +
		`{"kind":"step","step":3,"tokens":300,"seconds":40}` + "\n" + `{"kind":"valid","step":3,"tokens":300,"seconds":40,"source":"s","bits_per_byte":1.5}` + "\n"
	c := Compare([]*Run{named(t, "a", text), named(t, "b", evaluated("s", 10, 3, 2, 1.75))})
	if got, want := c.Targets[0], (Target{Source: "s", BitsPerByte: 1.75, Reached: []Reached{
		{Tokens: 250, FLOPs: 500, Seconds: 30}, {Tokens: 300, FLOPs: 600, Seconds: 30},
	}}); !reflect.DeepEqual(got, want) {
		t.Errorf("the target is %+v, want %+v", got, want)
	}
	if l := c.Runs[0].Ledger; l.LostTokens != 100 || l.Tokens != 400 || c.Runs[0].Tokens != 300 {
		t.Errorf("the ledger is %+v, the run at %d tokens", l, c.Runs[0].Tokens)
	}
}

// TestRunsThatDiffer compares runs of other lengths and sources, and one that has nothing yet.
func TestRunsThatDiffer(t *testing.T) {
	long := evaluated("books", 1, 3, 2.5, 2) + `{"kind":"valid","step":3,"tokens":300,"seconds":3,"source":"web","bits_per_byte":1}` + "\n"
	c := Compare([]*Run{named(t, "empty", ""), named(t, "short", evaluated("web", 1, 2)), named(t, "long", long)})
	if len(c.Targets) != 0 {
		t.Errorf("a target that not every run has reached: %+v", c.Targets)
	}
	runs := c.Tables()[0]
	if got := strings.Join(runs.Head, " "); got != "run parameters activated tokens loss bits/byte web bits/byte books MaxVio tokens/s of peak time cost" {
		t.Errorf("columns are %s", got)
	}
	for i, want := range []string{"empty 0 0 0 – – – – – – 0.0 s $0.00", "short 0 0 100 4.000 2.000 – – 100 – 1.0 s $0.00", "long 0 0 300 5.000 1.000 2.000 – 100 – 3.0 s $0.00"} {
		if got := strings.Join(runs.Rows[i], " "); got != want {
			t.Errorf("row %d: %s\nwant %s", i, got, want)
		}
	}
	path := filepath.Join(t.TempDir(), "c.html")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkPage(string(page)); err != nil {
		t.Error(err)
	}
	if got := titles(string(page)); got != "Runs "+strings.Repeat("Loss ", 3)+strings.TrimSpace(strings.Repeat("Bits ", 6)) {
		t.Errorf("the page has %s", got)
	}
	if short := Compare(c.runs[1:]); len(short.Targets) != 1 || short.Targets[0].Source != "web" {
		t.Errorf("of what both have: %+v", short.Targets)
	}
}

func TestNamesAreDistinct(t *testing.T) {
	run := func(name, dir string) *Run { return &Run{Name: name, Dir: dir} }
	for _, c := range []struct {
		runs []*Run
		want string
	}{
		{[]*Run{run("a", "/x/1"), run("b", "/x/1")}, "a, b"},
		{[]*Run{run("a", "/x/1"), run("b", "/x/2"), run("a", "/x/3")}, "1, b, 3"},
		{[]*Run{run("a", "/x/1"), run("a", "/y/1")}, "/x/1, /y/1"},
		{[]*Run{run("a", "/x/1"), run("a", "/x/1")}, "/x/1 (1), /x/1 (2)"},
	} {
		var got []string
		for i := range c.runs {
			got = append(got, distinct(c.runs, i))
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("names are %s, want %s", s, c.want)
		}
	}
	hostile := named(t, "x", strings.ReplaceAll(evaluated("<script>1</script>", 1, 2), `"run",`, `"run","name":"<script>2</script>\"onload=\"x",`))
	path := filepath.Join(t.TempDir(), "c.html")
	if err := Compare([]*Run{hostile, hostile}).Save(path); err != nil {
		t.Fatal(err)
	}
	page, _ := os.ReadFile(path)
	if err := checkPage(string(page)); err != nil {
		t.Error(err)
	}
}

// TestComparisonsJSON holds the form that other programs read.
func TestComparisonsJSON(t *testing.T) {
	r := named(t, "r", start+`{"kind":"step","step":2,"tokens":20,"seconds":3600,"loss":3,"max_vio":null}`+"\n"+
		`{"kind":"valid","step":2,"tokens":20,"seconds":3600,"source":"s","bits_per_byte":1.5}`+"\n")
	r.Dir = "r"
	got, err := json.Marshal(Compare([]*Run{r}))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"runs":[{"name":"a run","dir":"r","params":0,"activated":0,"step":2,"tokens":20,"seconds":3600,"flops":20000,"loss":3,"max_vio":null,` +
		`"bits_per_byte":{"s":1.5},"ledger":{"tokens":20,"flops":20000,"seconds":3600,"core_hours":2,"dollars_per_core_hour":0.5,"dollars":1,` +
		`"peak_share":0.05555555555555555,"lost_tokens":0,"lost_seconds":0,"sessions":1,"returns":0,"skipped_steps":0}}],` +
		`"targets":[{"source":"s","bits_per_byte":1.5,"reached":[{"tokens":20,"flops":20000,"seconds":3600,"at_most":false}]}]}`
	if string(got) != want {
		t.Errorf("JSON is\n%s, want\n%s", got, want)
	}
	if got, _ := json.Marshal(Compare(nil)); string(got) != `{"runs":[],"targets":[]}` {
		t.Errorf("of no runs: %s", got)
	}
}
