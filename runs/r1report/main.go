// R1report writes docs/R1.md: what each stage of R1's pipeline did at this size, beside the paper's own figures.
//
//	go run ./runs/r1report --out docs/R1.md base=out/nano zero=out/r1/zero cold=out/r1/cold …
//
// With --card it also puts the table of its last stage that was asked with and without thinking, between two marks, into the card of the
// model made of it.
//
// A stage is a name and its run's directory. Of that the program reads the record, as sprat compare does, and every eval*.json: what
// 'sprat eval --json' printed, one for each way of asking. Names that [papers] knows stand beside the paper's stage; a stage that
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
	"slices"
	"strings"

	"sprat/atomicfile"
	"sprat/eval"
	"sprat/report"
)

// stage is one step of the pipeline.
type stage struct {
	name string
	run  *report.Run
	asks map[way]eval.Result
}

// way is how a model was asked.
type way struct {
	Form       string  `json:"form"`
	Think      bool    `json:"think"`
	Difficulty float64 `json:"difficulty"`
}

func (w way) String() string {
	s := "thinking"
	switch {
	case w.Form == "zero":
		s = "in R1-Zero's template"
	case !w.Think:
		s = "without thinking"
	}
	if w.Difficulty != 1 {
		s += fmt.Sprintf(", difficulty %g", w.Difficulty)
	}
	return s
}

func main() {
	out := flag.String("out", "", "the file to write; none is standard output")
	card := flag.String("card", "", "a model's README.md, to put the table of the last stage into")
	flag.Parse()
	if err := write(*out, *card, flag.Args(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "r1report:", err)
		os.Exit(1)
	}
}

func write(out, card string, args []string, stdout io.Writer) error {
	var stages []*stage
	var missing []string
	for _, arg := range args {
		name, dir, ok := strings.Cut(arg, "=")
		if !ok || name == "" || dir == "" {
			return fmt.Errorf("%q is no stage: want its name and directory, as in zero=out/r1/zero", arg)
		}
		if _, err := os.Stat(filepath.Join(dir, report.MetricsFile)); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, name)
			continue
		}
		s, err := read(name, dir)
		if err != nil {
			return err
		}
		stages = append(stages, s)
	}
	if len(stages) == 0 {
		return errors.New("no stage has run: give name=directory for each")
	}
	if card != "" {
		if err := fill(card, stages); err != nil {
			return err
		}
	}
	text := document(stages, missing)
	if out == "" {
		_, err := io.WriteString(stdout, text)
		return err
	}
	return atomicfile.Write(out, []byte(text))
}

// The table in a card stands between these.
const cardFrom, cardTo = "<!-- make report -->\n", "<!-- end -->"

// fill puts what the last stage gets right into a model's card.
func fill(path string, stages []*stage) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok1 := strings.Cut(string(text), cardFrom)
	_, after, ok2 := strings.Cut(rest, cardTo)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no place for the table: want a line %q and after it one %q", path, strings.TrimSpace(cardFrom), cardTo)
	}
	for _, s := range slices.Backward(stages) {
		thinking, ok1 := s.asks[way{"chat", true, 1}]
		plain, ok2 := s.asks[way{"chat", false, 1}]
		if ok1 && ok2 {
			return atomicfile.Write(path, []byte(before+cardFrom+right(thinking, plain)+cardTo+after))
		}
	}
	return errors.New("no stage was asked with and without thinking")
}

func read(name, dir string) (*stage, error) {
	run, err := report.Read(dir)
	if err != nil {
		return nil, err
	}
	s := &stage{name: name, run: run, asks: map[way]eval.Result{}}
	files, err := filepath.Glob(filepath.Join(dir, "eval*.json"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var w way
		var r eval.Result
		if err := errors.Join(json.Unmarshal(text, &w), json.Unmarshal(text, &r)); err != nil || len(r.Families) == 0 {
			return nil, fmt.Errorf("%s isn't what sprat eval --json prints: make it anew", file)
		}
		if _, twice := s.asks[w]; twice {
			return nil, fmt.Errorf("%s: stage %s was asked %s twice: keep one of the files", file, name, w)
		}
		s.asks[w] = r
	}
	return s, nil
}
