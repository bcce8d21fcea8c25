// Package app is the chat service of one person on one machine: the page, the API, and the guard before both.
//
//	models, err := app.OpenModels([]app.Source{{Name: "nano", Files: files}})
//	handler, key, err := app.New(app.Options{Completer: models, Page: web.Files(), Port: 8080, Log: log})
//	server := app.NewServer(handler)
//	server.Serve(listener) // which is of the loopback interface
//
// # What it is safe from
//
// The listener is reached from this machine alone, but a browser on it runs other people's programs, and so it is not enough.
// On every route, see guard.go:
//
//   - Host names this machine: a page whose own name was made to point here (DNS rebinding) does not get in.
//   - An Origin is ours or missing, and a body is JSON: no page of elsewhere makes a browser send us one.
//   - No header of a proxy: behind one, what comes from everywhere would seem to come from here.
//   - The page may run its own files and reach this server, nothing else, by its content security policy.
//
// Whoever gets in may compute, and no more. What needs the person is for the holder of a token, which the page gets for the
// secret in the link that is printed at the start: see session.go.
package app

import (
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"sprat/api"
)

// Options say what is served.
type Options struct {
	Completer api.Completer
	Page      fs.FS // the page's files, at the top index.html
	Port      int   // which the listener has
	Log       *slog.Logger
}

// New returns the handler of everything, and the secret that the link carries.
func New(o Options) (handler http.Handler, key string, err error) {
	page, err := newPage(o.Page)
	if err != nil {
		return nil, "", err
	}
	session := newSession()
	mux := http.NewServeMux()
	mux.Handle("/v1/", api.New(o.Completer, o.Log))
	mux.HandleFunc("POST /session", session.exchange)
	mux.HandleFunc("GET /session", session.confirm)
	mux.Handle("/", page)
	return newGuard(o.Port, mux), session.key, nil
}

// NewServer returns a server with limits on what a client may keep waiting: headers and bodies that come drop by drop, answers that
// aren't read. The API lifts the last while it makes an answer, and sets its own.
func NewServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // what clients do wrong is not worth a line
	}
}
