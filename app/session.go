package app

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"

	"sprat/api"
)

// session knows the page of the person who started the program. The link that is printed carries the key in its fragment, which
// browsers send nowhere; the page exchanges it for a token, once. A key that was seen over a shoulder, or in a list of
// processes, is worth nothing then.
type session struct {
	key string

	mu    sync.Mutex
	spent bool
	token [sha256.Size]byte // the hash of the token that the key was exchanged for
}

func newSession() *session { return &session{key: secret()} }

// secret is a random text of 256 bits.
func secret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// equal compares without telling by the time it takes where the difference is.
func equal(a, b [sha256.Size]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

// exchange is POST /session: the key for a token.
func (s *session) exchange(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Key string `json:"key"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&ask); err != nil {
		api.WriteError(w, api.Errorf(http.StatusBadRequest, `the body is not {"key": "…"}`))
		return
	}
	token, ok := s.spend(ask.Key)
	if !ok {
		api.WriteError(w, api.Errorf(http.StatusUnauthorized, "the key is not of this start of sprat, or was used before: start it again for a new link"))
		return
	}
	api.WriteJSON(w, http.StatusOK, map[string]string{"token": token})
}

func (s *session) spend(key string) (token string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spent || !equal(sha256.Sum256([]byte(key)), sha256.Sum256([]byte(s.key))) {
		return "", false
	}
	s.spent, token = true, secret()
	s.token = sha256.Sum256([]byte(token))
	return token, true
}

// confirm is GET /session: whether the request has the token.
func (s *session) confirm(w http.ResponseWriter, r *http.Request) {
	if !s.holds(r) {
		api.WriteError(w, api.Errorf(http.StatusUnauthorized, "no token of this start of sprat: open the link that it printed"))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// holds tells whether r is the person's.
func (s *session) holds(r *http.Request) bool {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	return bearer && s.spent && equal(sha256.Sum256([]byte(token)), s.token)
}
