package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"sync"
	"time"

	"sprat/api"
	"sprat/chat"
	"sprat/cost"
	"sprat/device/cpu"
	"sprat/engine"
)

// Source is where a model is found.
type Source struct {
	Name  string
	Files fs.FS // in Hugging Face's form
}

// Models answers with the models of some directories. Each is loaded when it is first asked for, and stays. A directory may have a
// file sprat.json, with a note and suggestions for the page: see api.About.
type Models struct {
	list    []*served
	created int64
}

// served is one of Models.
type served struct {
	name     string
	about    api.About
	dir      *engine.Dir
	format   *chat.Format
	defaults generation

	load   sync.Once
	loaded chan struct{} // closed when the rest is there
	engine *engine.Engine
	dev    *cpu.Device
	err    error
}

// generation is generation_config.json: how a model's tokens are chosen where the request doesn't say.
type generation struct {
	Temperature float64 `json:"temperature"`
	TopP        float64 `json:"top_p"`
}

// textTokens bounds what a model without turns goes on for, as it seldom finds an end by itself.
const textTokens = 256

// OpenModels opens directories, and says what is wrong with them. The first is the default.
func OpenModels(sources []Source) (*Models, error) {
	m := &Models{created: time.Now().Unix()}
	for _, s := range sources {
		one, err := open(s)
		if err != nil {
			m.Close()
			return nil, fmt.Errorf("model %s: %w", s.Name, err)
		}
		one.about.Default = len(m.list) == 0
		m.list = append(m.list, one)
	}
	return m, nil
}

func open(s Source) (*served, error) {
	dir, err := engine.OpenDir(s.Files)
	if err != nil {
		return nil, err
	}
	if dir.Tokenizer == nil {
		dir.Close()
		return nil, errors.New("tokenizer.json is missing: without it text has no tokens")
	}
	one := &served{name: s.Name, dir: dir, defaults: generation{Temperature: 1, TopP: 1}, loaded: make(chan struct{})}
	if err := one.describe(s.Files); err != nil {
		dir.Close()
		return nil, err
	}
	return one, nil
}

// describe reads the small files, none of which must be there.
func (s *served) describe(files fs.FS) error {
	var own struct {
		Note        string   `json:"note"`
		Suggestions []string `json:"suggestions"`
	}
	err := errors.Join(
		readJSON(files, "generation_config.json", &s.defaults),
		readJSON(files, "sprat.json", &own),
	)
	if err != nil {
		return err
	}
	if g := s.defaults; !(g.Temperature >= 0 && g.Temperature <= 2 && g.TopP > 0 && g.TopP <= 1) {
		return fmt.Errorf("generation_config.json: temperature %v and top_p %v: want 0 to 2, and over 0 to 1", g.Temperature, g.TopP)
	}
	if s.format, err = chat.Load(files, s.dir.Tokenizer); err != nil {
		return err
	}
	count := cost.Count(s.dir.Config)
	s.about = api.About{
		Chat: s.format.Turns(), Thinks: s.format.Thinks(), Toggles: s.format.Toggles(), Context: s.dir.Positions(),
		Parameters: count.Total, Activated: count.Activated(), Note: own.Note, Suggestions: own.Suggestions,
	}
	if !s.about.Chat {
		s.about.MaxTokens = textTokens
		if own.Note == "" {
			s.about.Note = "This model continues texts: it answers no questions, and knows no turns of a conversation."
		}
	}
	if own.Suggestions == nil {
		s.about.Suggestions = []string{}
	}
	return nil
}

// maxSmall bounds the small files, in bytes.
const maxSmall = 1 << 20

// readSmall returns nil where there is no such file.
func readSmall(files fs.FS, name string) ([]byte, error) {
	f, err := files.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSmall+1))
	if err == nil && len(text) > maxSmall {
		err = fmt.Errorf("%s has more than %d bytes", name, maxSmall)
	}
	return text, err
}

func readJSON(files fs.FS, name string, v any) error {
	text, err := readSmall(files, name)
	if err != nil || text == nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Load loads the default model, if that isn't done or under way, and waits for it.
func (m *Models) Load(ctx context.Context) error { return m.list[0].ready(ctx) }

// ready waits until s is loaded.
func (s *served) ready(ctx context.Context) error {
	s.load.Do(func() { go s.start() })
	select {
	case <-s.loaded:
		return s.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *served) start() {
	defer close(s.loaded)
	defer s.dir.Close()
	s.dev = cpu.New(0)
	if s.engine, s.err = engine.New(s.dir, s.dev, engine.Options{}); s.err != nil {
		s.dev.Close()
		s.err = &api.Error{Status: http.StatusServiceUnavailable, Message: fmt.Sprintf("model %s: %v", s.name, s.err)}
	}
}

// Close ends what is under way. A model that is being loaded is left to the end of the program.
func (m *Models) Close() {
	for _, s := range m.list {
		select {
		case <-s.loaded:
			if s.err == nil {
				s.engine.Close()
				s.dev.Close()
			}
		default:
		}
	}
}

// Models implements api.Completer.
func (m *Models) Models() []api.Model {
	list := make([]api.Model, 0, len(m.list))
	for _, s := range m.list {
		about := s.about
		select {
		case <-s.loaded:
			about.Loaded = s.err == nil
		default:
		}
		list = append(list, api.Model{ID: s.name, Created: m.created, About: about})
	}
	return list
}

// find returns the model of a name.
func (m *Models) find(name string) (*served, error) {
	names := ""
	for _, s := range m.list {
		if name == "" || name == s.name {
			return s, nil
		}
		names += ", " + s.name
	}
	return nil, &api.Error{
		Status: http.StatusNotFound, Code: "model_not_found", Param: "model",
		Message: fmt.Sprintf("there is no model %.100q here: want %s", name, names[len(", "):]),
	}
}

// Complete implements api.Completer.
func (m *Models) Complete(ctx context.Context, r *api.Request) iter.Seq2[api.Piece, error] {
	return func(yield func(api.Piece, error) bool) {
		s, err := m.find(r.Model)
		if err == nil {
			err = s.ready(ctx)
		}
		if err != nil {
			yield(api.Piece{}, err)
			return
		}
		s.answer(ctx, r, yield)
	}
}
