// R1report writes docs/R1.md: what each stage of R1's pipeline did at this size, beside the paper's own figures.
//
//	go run ./runs/r1report --out docs/R1.md base=out/nano zero=out/r1/zero cold=out/r1/cold …
//
// With --card it also puts a stage's table, with and without thinking, between two marks into the card of the model made of it.
//
// A stage is a name and its run's directory. Of that the program reads the record, as sprat compare does, and every eval*.json: what
// 'sprat eval --json' printed, one for each way of asking. With --keep it puts what it needs of that into a folder, and takes from there the
// stages whose runs are on another machine or gone. Names that [papers] knows stand beside the paper's stage; a stage that
// hasn't run yet is left out, and said so.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sprat/atomicfile"
	"sprat/eval"
	"sprat/report"
)

// stage is one step of the pipeline: what its page says is made of this.
type stage struct {
	Name   string        `json:"name"`
	Start  report.Start  `json:"start"`
	Ledger report.Ledger `json:"ledger"`
	RLs    []report.RL   `json:"rl,omitempty"`
	Exams  []report.Exam `json:"exams,omitempty"`
	Asked  []asked       `json:"asked"`
}

// asked is what sprat eval --json prints.
type asked struct {
	Form       string  `json:"form"`
	Difficulty float64 `json:"difficulty"`
	eval.Result
}

// way is how a model was asked.
type way struct {
	form       string
	think      bool
	difficulty float64
}

func (a asked) way() way { return way{a.Form, a.Think, a.Difficulty} }

// ask is what a stage was asked in a way.
func (s *stage) ask(w way) (eval.Result, bool) {
	for _, a := range s.Asked {
		if a.way() == w {
			return a.Result, true
		}
	}
	return eval.Result{}, false
}

func (w way) String() string {
	s := "thinking"
	switch {
	case w.form == "zero":
		s = "in R1-Zero's template"
	case !w.think:
		s = "without thinking"
	}
	if w.difficulty != 1 {
		s += fmt.Sprintf(", difficulty %g", w.difficulty)
	}
	return s
}

func main() {
	var o output
	flag.StringVar(&o.document, "out", "", "the file to write; none is standard output")
	flag.StringVar(&o.card, "card", "", "STAGE=FILE: the README.md of a model that the stage made, to put a table into")
	flag.StringVar(&o.keep, "keep", "", "a folder for what the document is made of")
	flag.Parse()
	if err := write(o, flag.Args(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "r1report:", err)
		os.Exit(1)
	}
}

// output is where things go; "" is nowhere, but for the document.
type output struct{ document, card, keep string }

func write(o output, args []string, stdout io.Writer) error {
	var stages []*stage
	var missing []string
	for _, arg := range args {
		name, dir, ok := strings.Cut(arg, "=")
		if !ok || name == "" || dir == "" {
			return fmt.Errorf("%q is no stage: want its name and directory, as in zero=out/r1/zero", arg)
		}
		s, err := find(name, dir, o.keep)
		if err != nil {
			return err
		}
		if s == nil {
			missing = append(missing, name)
			continue
		}
		stages = append(stages, s)
	}
	if len(stages) == 0 {
		return errors.New("no stage has run: give name=directory for each")
	}
	if o.card != "" {
		if err := fill(o.card, stages); err != nil {
			return err
		}
	}
	text := document(stages, missing)
	if o.document == "" {
		_, err := io.WriteString(stdout, text)
		return err
	}
	return atomicfile.Write(o.document, []byte(text))
}

// find reads a stage from its run, if that came to its end, or from a model that was only asked, and keeps it; or it takes what was kept of
// it; nil where there is neither.
func find(name, dir, keep string) (*stage, error) {
	run := new(report.Run)
	_, err := os.Stat(filepath.Join(dir, report.MetricsFile))
	if ran := !errors.Is(err, fs.ErrNotExist); ran {
		if run, err = report.Read(dir); err != nil {
			return nil, err
		}
		if run.End == nil || run.End.Why != report.Done {
			return keptOf(name, keep)
		}
	}
	s, err := read(name, dir, run)
	if err == nil && run.End == nil && s.Asked == nil {
		return keptOf(name, keep)
	}
	if err != nil || keep == "" {
		return s, err
	}
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return nil, err
	}
	return s, atomicfile.Write(filepath.Join(keep, name+".json"), append(text, '\n'))
}

// keptOf is a stage as it was kept, or nil.
func keptOf(name, keep string) (*stage, error) {
	if keep == "" {
		return nil, nil
	}
	path := filepath.Join(keep, name+".json")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	s := new(stage)
	if err == nil {
		err = json.Unmarshal(text, s)
	}
	if err != nil || s.Name != name {
		return nil, fmt.Errorf("%s isn't what was kept of stage %s (%v): restore it, or run the stage", path, name, err)
	}
	return s, nil
}

// The table in a card stands between these.
const cardFrom, cardTo = "<!-- make report -->\n", "<!-- end -->"

// fill puts what a stage gets right into a model's card.
func fill(card string, stages []*stage) error {
	name, path, ok := strings.Cut(card, "=")
	if !ok {
		return fmt.Errorf("--card %s: want STAGE=FILE, as in rl2=models/nano/README.md", card)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok1 := strings.Cut(string(text), cardFrom)
	_, after, ok2 := strings.Cut(rest, cardTo)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no place for the table: want a line %q and after it one %q", path, strings.TrimSpace(cardFrom), cardTo)
	}
	for _, s := range stages {
		thinking, ok1 := s.ask(way{"chat", true, 1})
		plain, ok2 := s.ask(way{"chat", false, 1})
		if s.Name == name && ok1 && ok2 {
			return atomicfile.Write(path, []byte(before+cardFrom+right(thinking, plain)+cardTo+after))
		}
	}
	return fmt.Errorf("no stage %s was asked with and without thinking", name)
}

func read(name, dir string, run *report.Run) (*stage, error) {
	s := &stage{Name: name, Start: run.Start, Ledger: run.Ledger, RLs: run.RLs, Exams: run.Exams}
	files, err := filepath.Glob(filepath.Join(dir, "eval*.json"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var a asked
		if err := json.Unmarshal(text, &a); err != nil || len(a.Families) == 0 {
			return nil, fmt.Errorf("%s isn't what sprat eval --json prints: make it anew", file)
		}
		if _, twice := s.ask(a.way()); twice {
			return nil, fmt.Errorf("%s: stage %s was asked %s twice: keep one of the files", file, name, a.way())
		}
		s.Asked = append(s.Asked, a)
	}
	return s, nil
}
