package api

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

const (
	// keepAlive is how long a stream is silent before it says that it is alive.
	keepAlive = 5 * time.Second
	// writeTimeout is how long a client may leave what it is sent unread.
	writeTimeout = 30 * time.Second
)

// events writes server-sent events. While there are none it sends comments, so that nobody on the way takes it for dead. The
// response begins with the first event or comment; an error before that has a status of its own.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController

	mu    sync.Mutex
	timer *time.Timer
	begun bool
	ended bool
	err   error
}

func newEvents(w http.ResponseWriter) *events {
	s := &events{w: w, control: http.NewResponseController(w)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(keepAlive, s.beat)
	return s
}

// write sends one event or comment, with mu held.
func (s *events) write(text []byte) {
	if s.ended || s.err != nil {
		return
	}
	if !s.begun {
		s.begun = true
		h := s.w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-store")
		s.w.WriteHeader(http.StatusOK)
	}
	s.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, s.err = s.w.Write(text); s.err == nil {
		s.err = s.control.Flush()
	}
	s.timer.Reset(keepAlive)
}

func (s *events) beat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write([]byte(": keep-alive\n\n"))
}

// send writes an event with v in JSON.
func (s *events) send(v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // of our own types
	}
	s.data(body)
}

func (s *events) data(body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(append(append([]byte("data: "), body...), "\n\n"...))
}

// done writes the end that OpenAI's streams have.
func (s *events) done() { s.data([]byte("[DONE]")) }

// fail ends the response with err, by its status if nothing was written yet.
func (s *events) fail(err error) {
	s.mu.Lock()
	begun := s.begun
	s.ended = s.ended || !begun
	s.mu.Unlock()
	if begun {
		s.send(public(err).wire())
	} else {
		WriteError(s.w, err)
	}
}

// failed tells whether the client could not be written to.
func (s *events) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

// close ends the comments. Nothing is written after it.
func (s *events) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.timer.Stop()
}
