package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"sprat/report"
)

type compareCmd struct {
	Runs []string `arg:"" name:"run" help:"Directories that training runs write to; they may be running."`
	Out  string   `help:"The page to write: ./compare.html for several runs, report.html in the run's directory for one." placeholder:"FILE"`
	JSON bool     `help:"Print one JSON object."`
}

// Help is what 'sprat compare --help' says besides.
func (c *compareCmd) Help() string {
	return "With several runs: one page and one table, and what it took each to come to the worst one's last bits per byte; ≤ where its first " +
		"evaluation was lower already. With a single run: its own page and its ledger, as training writes them at its end, at any time."
}

func (c *compareCmd) Run(e *env) error {
	runs := make([]*report.Run, len(c.Runs))
	for i, dir := range c.Runs {
		var err error
		if runs[i], err = report.Read(dir); err != nil {
			return err
		}
	}
	comparison := report.Compare(runs)
	path, err := c.save(runs, comparison)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(struct {
			*report.Comparison
			Page string `json:"page"`
		}{comparison, path})
	}
	width := terminalWidth(e.stdout)
	for _, t := range comparison.Tables() {
		printTable(e.stdout, t, width)
		fmt.Fprintln(e.stdout)
	}
	_, err = fmt.Fprintf(e.stdout, "wrote %s\n", path)
	return err
}

func (c *compareCmd) save(runs []*report.Run, comparison *report.Comparison) (path string, err error) {
	switch {
	case len(runs) > 1:
		path = c.Out
		if path == "" {
			path = "compare.html"
		}
		return path, comparison.Save(path)
	case c.Out != "":
		return c.Out, runs[0].Save(c.Out)
	}
	_, err = report.WritePage(c.Runs[0])
	return filepath.Join(c.Runs[0], report.PageFile), err
}

// terminalWidth is the width of the terminal that w is, 0 where it is none.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// printTable prints t in columns, or where they are wider than the terminal, each row as a list. A width of 0 has room for all.
func printTable(w io.Writer, t report.Table, width int) {
	rows := append([][]string{t.Head}, t.Rows...)
	widths := make([]int, len(t.Head))
	total := -2
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += widths[i] + 2
	}
	if width == 0 {
		width = max(total, utf8.RuneCountInString(t.Title))
	}
	fmt.Fprintln(w, cut(t.Title, width))
	if total > width {
		printLists(w, t, width)
		return
	}
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += pad(cell, widths[i]) + "  "
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

func printLists(w io.Writer, t report.Table, width int) {
	label := 0
	for _, h := range t.Head[1:] {
		label = max(label, utf8.RuneCountInString(h))
	}
	for _, row := range t.Rows {
		fmt.Fprintln(w, cut(row[0], width))
		for i, cell := range row[1:] {
			fmt.Fprintln(w, cut("  "+pad(t.Head[i+1], label)+"  "+cell, width))
		}
	}
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// cut shortens s to a width.
func cut(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string(slices.Concat([]rune(s)[:max(0, width-1)], []rune("…")))
}
