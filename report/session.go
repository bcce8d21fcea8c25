package report

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"sprat/atomicfile"
)

// ErrInterrupted is the error of a run that was asked to stop, and can go on.
var ErrInterrupted = errors.New("interrupted")

// Begin opens the record of the run in dir for a session: with its settings, the run file's text, and where it goes on from a step,
// with that.
func Begin(dir, settings string, s Start, at Resume) (*Writer, error) {
	w, err := Open(dir)
	if err != nil {
		return nil, err
	}
	if err = atomicfile.Write(filepath.Join(dir, SettingsFile), []byte(settings)); err == nil {
		err = w.Start(s)
	}
	if err == nil && at.Step > 0 {
		err = w.Resume(at)
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// Finish ends the session, by failed if that isn't nil, closes the record, makes the page and the ledger, and says what the run cost.
// It returns failed, or else what went wrong here.
func (w *Writer) Finish(e End, failed error, say io.Writer) error {
	e.Why = Done
	switch {
	case errors.Is(failed, ErrInterrupted):
		e.Why = Interrupted
	case failed != nil:
		e.Why = Failed
	}
	err := errors.Join(w.End(e), w.Close())
	var r *Run
	if err == nil {
		r, err = WritePage(w.dir)
	}
	if err == nil {
		l := r.Ledger
		fmt.Fprintf(say, "%.3f core-hours, $%.4f at $%g an hour of a core; curves and bill: %s\n",
			l.CoreHours, l.Dollars, l.DollarsPerCoreHour, filepath.Join(w.dir, PageFile))
	}
	if failed != nil {
		return failed // the record of a run that failed is the lesser trouble
	}
	return err
}
