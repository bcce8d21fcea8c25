package app

import (
	"fmt"
	"mime"
	"net/http"
	"strings"

	"sprat/api"
)

// policy is what the page may do: run its own scripts and styles, talk to this server, and nothing else. Strings become HTML
// by way of DOMPurify alone.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types dompurify"

// guard lets requests of this machine through, and of no page but ours.
type guard struct {
	hosts   map[string]bool // what Host may be
	origins map[string]bool
	next    http.Handler
}

func newGuard(port int, next http.Handler) *guard {
	g := &guard{map[string]bool{}, map[string]bool{}, next}
	for _, name := range []string{"localhost", "127.0.0.1", "[::1]"} {
		host := fmt.Sprintf("%s:%d", name, port)
		g.hosts[host], g.origins["http://"+host] = true, true
		if port == 80 { // which browsers leave out
			g.hosts[name], g.origins["http://"+name] = true, true
		}
	}
	return g
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	if err := g.check(r); err != nil {
		h.Set("Connection", "close")
		api.WriteError(w, err)
		return
	}
	g.next.ServeHTTP(w, r)
}

// check says why r may not pass.
func (g *guard) check(r *http.Request) error {
	if !g.hosts[strings.ToLower(r.Host)] {
		return api.Errorf(http.StatusForbidden, "the host %.100q is not this machine: use http://127.0.0.1 or http://localhost, with the port", r.Host)
	}
	for name := range r.Header {
		if name == "Forwarded" || name == "Via" || strings.HasPrefix(name, "X-Forwarded-") {
			return api.Errorf(http.StatusForbidden, "the header %.100s comes from a proxy: this server is for its own machine alone", name)
		}
	}
	for _, origin := range r.Header["Origin"] {
		if !g.origins[origin] {
			return api.Errorf(http.StatusForbidden, "the origin %.100q may not use this server: only its own page may", origin)
		}
	}
	if foreign(r) {
		return api.Errorf(http.StatusForbidden, "another site's page may not use this server: only its own page may")
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return nil
	case http.MethodPost:
	default:
		return api.Errorf(http.StatusMethodNotAllowed, "the method is %.20q: want GET or POST", r.Method)
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return api.Errorf(http.StatusUnsupportedMediaType, "the content type is %.100q: want application/json", r.Header.Get("Content-Type"))
	}
	return nil
}

// foreign tells whether another site's page made a browser send r, and not by a link that leads here.
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return false
	}
	return r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
}
