package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// Error is one that the client gets to read.
type Error struct {
	Status  int // HTTP's
	Message string
	Param   string // the field of the request that is wrong, if it is one
	Code    string // for programs; "": invalid_request_error and the like, by the status
}

func (e *Error) Error() string { return e.Message }

// Errorf returns an Error with this status.
func Errorf(status int, format string, args ...any) *Error {
	return &Error{Status: status, Message: fmt.Sprintf(format, args...)}
}

// bad is an Error in a field of the request.
func bad(param, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Message: param + ": " + fmt.Sprintf(format, args...), Param: param}
}

// wireError is an error in OpenAI's form.
type wireError struct {
	Error struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    string  `json:"code"`
	} `json:"error"`
}

func (e *Error) wire() (w wireError) {
	kind := "invalid_request_error"
	switch {
	case e.Status == http.StatusUnauthorized:
		kind = "authentication_error"
	case e.Status == http.StatusForbidden:
		kind = "permission_error"
	case e.Status == http.StatusTooManyRequests:
		kind = "rate_limit_error"
	case e.Status >= 500:
		kind = "server_error"
	}
	w.Error.Message, w.Error.Type, w.Error.Code = e.Message, kind, kind
	if e.Code != "" {
		w.Error.Code = e.Code
	}
	if e.Param != "" {
		w.Error.Param = &e.Param
	}
	return w
}

// WriteError answers with err: an *Error as it is, and of others only that there was one.
func WriteError(w http.ResponseWriter, err error) {
	e := public(err)
	if e.Status == http.StatusServiceUnavailable || e.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	WriteJSON(w, e.Status, e.wire())
}

// retryAfter is how many seconds a client had better wait.
const retryAfter = 2

// public is what a client may read of err.
func public(err error) *Error {
	if e := new(Error); errors.As(err, &e) {
		return e
	}
	return Errorf(http.StatusInternalServerError, "the server failed to answer; its log says why")
}

// WriteJSON answers with v.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // of our own types
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}
