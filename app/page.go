package app

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"sprat/api"
)

// types are the content types of the page's files: not the machine's table, which may say anything.
var types = map[string]string{
	".html":        "text/html; charset=utf-8",
	".js":          "text/javascript; charset=utf-8",
	".css":         "text/css; charset=utf-8",
	".json":        "application/json",
	".webmanifest": "application/manifest+json",
	".svg":         "image/svg+xml",
	".png":         "image/png",
	".ico":         "image/x-icon",
	".woff2":       "font/woff2",
	".txt":         "text/plain; charset=utf-8",
	".map":         "application/json",
}

// page serves files from memory, compressed beforehand where NAME.br or NAME.gz lies beside NAME. Names in assets/ carry a hash of
// what is in them, and are kept for good; others are asked for again each time.
type page map[string]*file

type file struct {
	kind   string // content type
	bodies map[string][]byte
	tag    string
	cache  string
}

// encodings are what a file may be compressed with, the best first.
var encodings = []struct{ name, suffix string }{{"br", ".br"}, {"gzip", ".gz"}, {"", ""}}

func newPage(files fs.FS) (page, error) {
	p := page{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".br") || strings.HasSuffix(name, ".gz") {
			return err
		}
		f := &file{kind: types[path.Ext(name)], bodies: map[string][]byte{}, cache: "no-cache"}
		if f.kind == "" {
			return fmt.Errorf("the page's file %s has no content type", name)
		}
		if strings.HasPrefix(name, "assets/") {
			f.cache = "public, max-age=31536000, immutable"
		}
		for _, e := range encodings {
			body, err := fs.ReadFile(files, name+e.suffix)
			if err == nil {
				f.bodies[e.name] = body
			} else if e.suffix == "" || !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		sum := sha256.Sum256(f.bodies[""])
		f.tag = base64.RawURLEncoding.EncodeToString(sum[:12])
		p["/"+name] = f
		return nil
	})
	p["/"] = p["/index.html"]
	if err == nil && p["/"] == nil {
		err = errors.New("the page has no index.html")
	}
	return p, err
}

func (p page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := p[r.URL.Path]
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		api.WriteError(w, api.Errorf(http.StatusMethodNotAllowed, "%.100q takes GET", r.URL.Path))
		return
	case f == nil:
		api.WriteError(w, api.Errorf(http.StatusNotFound, "there is no %.100q here", r.URL.Path))
		return
	}
	h := w.Header()
	encoding, body := f.accepted(r.Header.Get("Accept-Encoding"))
	tag := `"` + f.tag + encoding + `"`
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", f.cache)
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if encoding != "" {
		h.Set("Content-Encoding", encoding)
	}
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

// accepted returns the smallest body that the header Accept-Encoding lets through.
func (f *file) accepted(header string) (encoding string, body []byte) {
	accepts := map[string]bool{}
	for part := range strings.SplitSeq(strings.ToLower(header), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(quality), "q="), 64)
		accepts[strings.TrimSpace(name)] = quality == "" || err == nil && q > 0
	}
	for _, e := range encodings {
		if body := f.bodies[e.name]; body != nil && accepts[e.name] {
			return e.name, body
		}
	}
	return "", f.bodies[""]
}
