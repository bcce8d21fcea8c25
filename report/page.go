package report

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"time"

	"sprat/atomicfile"
)

//go:embed page.html
var pageText string

// page is what the template fills in, for one run or several.
type page struct {
	Title    string
	Status   string
	Tiles    [][2]string // a number and what it is
	Panels   []panel
	Tables   []Table
	Problems []problem
	Settings string
	Several  bool // runs: their tables come first
}

// panel is a drawn chart.
type panel struct {
	Title  string
	Note   string
	Legend []legend
	SVG    template.HTML
}

// Table is rows under a head.
type Table struct {
	Title string
	Head  []string
	Rows  [][]string
}

// WritePage reads the record in dir, writes its page and ledger there, PageFile and LedgerFile, and returns what it read.
func WritePage(dir string) (*Run, error) {
	r, err := Read(dir)
	if err != nil {
		return nil, err
	}
	ledger, err := json.MarshalIndent(r.Ledger, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the ledger: %w", err)
	}
	if err := save(filepath.Join(dir, LedgerFile), append(ledger, '\n')); err != nil {
		return nil, err
	}
	return r, r.Save(filepath.Join(dir, PageFile))
}

// Save writes the run's page, which needs nothing but itself.
func (r *Run) Save(path string) error {
	p, err := r.page()
	if err != nil {
		return err
	}
	return p.save(path)
}

func (r *Run) page() (*page, error) {
	panels, err := draws(r.charts())
	return &page{Title: r.Name, Status: r.status(), Tiles: r.tiles(), Panels: panels, Tables: r.tables(), Problems: r.problems(),
		Settings: r.Settings}, err
}

func (p *page) save(path string) error {
	var b bytes.Buffer
	if err := p.write(&b); err != nil {
		return err
	}
	return save(path, b.Bytes())
}

func (p *page) write(w io.Writer) error {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return fmt.Errorf("the page's template: %w", err)
	}
	if err := t.Execute(w, p); err != nil {
		return fmt.Errorf("making the page: %w", err)
	}
	return nil
}

// save replaces the file at path.
func save(path string, text []byte) error {
	if err := atomicfile.Write(path, text); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func draws(charts []*chart) ([]panel, error) {
	var list []panel
	for _, c := range charts {
		if c.empty() {
			continue
		}
		svg, err := c.svg()
		if err != nil {
			return nil, err
		}
		list = append(list, panel{Title: c.title, Note: c.note, Legend: c.legend(), SVG: svg})
	}
	return list, nil
}

// status says in a line where the run stands and what it ran on.
func (r *Run) status() string {
	s := "No end is recorded: still running, or killed."
	if r.End != nil {
		s = map[string]string{Done: "Done.", Interrupted: "Interrupted.", Failed: "Failed."}[r.End.Why]
	}
	t := r.Start
	if !t.Started.IsZero() {
		s += " Started " + t.Started.UTC().Format("2 January 2006 15:04 UTC")
		if r.Sessions > 1 {
			s += fmt.Sprintf(" (the latest of %d sessions)", r.Sessions)
		}
		s += "."
	}
	if t.Machine != "" {
		cores := "cores"
		if t.Cores == 1 {
			cores = "core"
		}
		s += fmt.Sprintf(" %s, %d %s, %s on %s.", t.Machine, t.Cores, cores, t.Precision, t.Kernels)
	}
	if t.Params > 0 {
		s += fmt.Sprintf(" %s parameters, %s activated a token. Seed %d.", count(float64(t.Params)), count(float64(t.Activated)), t.Seed)
	}
	return s
}

// tiles are the numbers that are looked for first.
func (r *Run) tiles() [][2]string {
	list := r.rlTiles()
	if list == nil {
		list = append(list, [2]string{fixed(r.curve(bySteps, loss).tail(), 3), "loss, nats a token"})
	}
	for _, s := range r.sources() {
		if bits, ok := r.lastBits(s); ok {
			list = append(list, [2]string{fixed(bits, 3), "bits per byte, " + s})
			break
		}
	}
	tokens := "tokens"
	if t := r.Start.TokensTotal; t > 0 {
		tokens = "tokens of " + count(float64(t))
	}
	l := r.Ledger
	return append(list,
		[2]string{count(float64(r.last().Tokens)), tokens},
		[2]string{span(l.Seconds), "wall time"},
		[2]string{dollars(l.Dollars), "at " + dollars(l.DollarsPerCoreHour) + " a core hour"},
		[2]string{percent(l.PeakShare), "of the measured peak"})
}

// last is the latest step, zero where there is none.
func (r *Run) last() Step {
	if len(r.Steps) == 0 {
		return Step{}
	}
	return r.Steps[len(r.Steps)-1]
}

// lastBits is the latest bits per byte of a source that is a number.
func (r *Run) lastBits(source string) (float64, bool) {
	for i := len(r.Valids) - 1; i >= 0; i-- {
		if v := r.Valids[i]; v.Source == source && drawable(v.BitsPerByte) {
			return v.BitsPerByte, true
		}
	}
	return 0, false
}

func (r *Run) charts() []*chart {
	over := byTokens
	if len(r.RLs) > 0 {
		over = bySteps
	}
	var marks []float64
	for i, b := range r.Returns {
		if at, ok := r.stepAt(b.To); ok && i < 100 {
			marks = append(marks, r.at(over, at.Step, at.Tokens, at.Seconds))
		}
	}
	charts := r.rlCharts(marks)
	if charts == nil {
		charts = append(charts, r.lossChart(marks))
	}
	var bits []curve
	for i, s := range r.sources() {
		c := r.bits(over, s)
		c.color = i
		bits = append(bits, c)
	}
	charts = append(charts, &chart{title: "Bits per byte, held-out text", curves: bits, marks: marks})
	for _, c := range []struct {
		chart
		value func(*Step) float64
		raw   bool
	}{
		{chart{title: "Largest load over even: MaxVio", zero: true}, maxVio, true},
		{chart{title: "Gradient norm, before clipping", log: true}, func(s *Step) float64 { return s.GradNorm }, true},
		{chart{title: "Learning rate", zero: true}, func(s *Step) float64 { return s.LR }, false},
		{chart{title: "Tokens a second", zero: true}, func(s *Step) float64 { return s.TokensPerSecond }, true},
	} {
		line := r.curve(over, c.value)
		c.curves = []curve{line}
		if c.raw {
			c.curves = []curve{line.background(), line.smooth()}
		}
		charts = append(charts, &c.chart)
	}
	for _, c := range charts {
		c.over = over
	}
	loads := &chart{title: "Load of each expert", image: r.loadImage(over), over: over}
	if loads.image != nil {
		loads.note = loads.image.rows + "; orange over an even share, blue under, full at 4 times and at ¼"
	}
	return append(charts, loads)
}

// lossChart has the loss of the next token, and of those further on where they are predicted.
func (r *Run) lossChart(marks []float64) *chart {
	raw := r.curve(byTokens, loss)
	list := []curve{raw.background(), raw.smooth()}
	list[1].name = "next token"
	for depth := range min(len(r.last().MTP), palette-1) {
		c := r.curve(byTokens, func(s *Step) float64 {
			if depth < len(s.MTP) {
				return s.MTP[depth]
			}
			return math.NaN()
		}).smooth()
		c.name, c.color = fmt.Sprintf("%d further (MTP)", depth+1), depth+1
		list = append(list, c)
	}
	if len(list) == 2 {
		list[1].name = ""
	}
	note := "each step, faint, and its moving average"
	if len(marks) > 0 {
		note += "; dashed: where it resumed or went back to"
	}
	return &chart{title: "Loss, nats a token", note: note, curves: list, marks: marks, clip: true}
}

// stepAt is the last step up to n.
func (r *Run) stepAt(n int) (Step, bool) {
	i := upTo(r.Steps, func(s Step) int { return s.Step }, n)
	if i == 0 {
		return Step{}, false
	}
	return r.Steps[i-1], true
}

func (r *Run) tables() []Table {
	l := r.Ledger
	rows := [][]string{
		{"tokens computed", count(float64(l.Tokens))},
		{"FLOPs", power(l.FLOPs)},
		{"wall time", span(l.Seconds)},
		{"core hours", fixed(l.CoreHours, 2)},
		{"price a core hour", dollars(l.DollarsPerCoreHour)},
		{"cost", dollars(l.Dollars)},
		{"share of peak", percent(l.PeakShare)},
		{"sessions, returns", fmt.Sprintf("%d, %d", l.Sessions, l.Returns)},
		{"lost work in it", fmt.Sprintf("%s tokens, %s", count(float64(l.LostTokens)), span(l.LostSeconds))},
		{"skipped steps", strconv.Itoa(l.SkippedSteps)},
		{"DeepSeek-V3's bill", "2.788 M H800 hours, $5.576 M"}, // its report, table 1
	}
	tables := []Table{{Title: "Ledger", Rows: rows}}
	if sources := r.sources(); len(sources) > 0 {
		t := Table{Title: "Held-out text", Head: []string{"source", "nats a token", "bits per byte"}}
		for _, s := range sources {
			for i := len(r.Valids) - 1; i >= 0; i-- {
				if v := r.Valids[i]; v.Source == s {
					t.Rows = append(t.Rows, []string{s, fixed(v.Nats, 4), fixed(v.BitsPerByte, 4)})
					break
				}
			}
		}
		tables = append(tables, t)
	}
	if t := r.examTable(); t.Rows != nil {
		tables = append(tables, t)
	}
	if n := len(r.Returns); n > 0 {
		t := Table{Title: "Where it went back", Head: []string{"from step", "to", "why"}}
		for _, b := range r.Returns[max(0, n-20):] {
			t.Rows = append(t.Rows, []string{strconv.Itoa(b.From), strconv.Itoa(b.To), b.Why})
		}
		tables = append(tables, t)
	}
	return tables
}

// Made is when the page was made.
func (p *page) Made() string { return time.Now().UTC().Format("2 January 2006 15:04 UTC") }
