package api

import (
	"crypto/rand"
	"net/http"
	"strings"
	"time"
)

// fingerprint is system_fingerprint: the program that answers.
const fingerprint = "sprat"

// chat is POST /v1/chat/completions.
func (h *handler) chat(w http.ResponseWriter, r *http.Request) {
	http.NewResponseController(w).SetWriteDeadline(time.Time{}) // the answer may take its time: each write has a deadline of its own
	a, req, err := readRequest(w, r)
	if err != nil {
		WriteError(w, err)
		return
	}
	reply := completion{
		ID: "chatcmpl-" + rand.Text(), Created: time.Now().Unix(), Model: h.model(req.Model), Fingerprint: fingerprint,
	}
	if a.Stream {
		h.stream(w, r, a, req, reply)
	} else {
		h.whole(w, r, req, reply)
	}
}

// model is the name of the model that answers.
func (h *handler) model(name string) string {
	if models := h.completer.Models(); name == "" && len(models) > 0 {
		return models[0].ID
	}
	return name
}

// whole answers in one object.
func (h *handler) whole(w http.ResponseWriter, r *http.Request, req *Request, reply completion) {
	var said, thought strings.Builder
	var last Piece
	logprobs := newLogprobs(req)
	for p, err := range h.completer.Complete(r.Context(), req) {
		if err != nil {
			h.note(r, err)
			WriteError(w, err)
			return
		}
		if p.Thought {
			thought.WriteString(p.Text)
		} else {
			said.WriteString(p.Text)
		}
		if logprobs != nil {
			logprobs.add(p)
		}
		last = p
	}
	c := choice{Message: answer{Role: "assistant", Content: said.String()}, Logprobs: logprobs, Finish: last.Finish}
	if thought.Len() > 0 {
		text := thought.String()
		c.Message.Reasoning = &text
	}
	reply.Object, reply.Choices, reply.Usage = "chat.completion", []any{c}, newUsage(last.Usage)
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	WriteJSON(w, http.StatusOK, reply)
}

// stream answers in events, one for each piece.
func (h *handler) stream(w http.ResponseWriter, r *http.Request, a *ask, req *Request, reply completion) {
	reply.Object = "chat.completion.chunk"
	s := newEvents(w)
	defer s.close()
	role := "assistant"
	for p, err := range h.completer.Complete(r.Context(), req) {
		if err != nil {
			h.note(r, err)
			s.fail(err)
			return
		}
		if role != "" {
			s.send(reply.chunk(newDelta(role, "", p.Thought), nil, nil))
			role = ""
		}
		if p.Text != "" || len(p.Tokens) > 0 {
			logprobs := newLogprobs(req)
			if logprobs != nil {
				logprobs.add(p)
			}
			s.send(reply.chunk(newDelta("", p.Text, p.Thought), logprobs, nil))
		}
		if p.Finish != "" {
			reply.Usage = newUsage(p.Usage)
			s.send(reply.chunk(newDelta("", "", false), nil, &p.Finish))
		}
		if s.failed() {
			return // the client is gone, and leaving the loop ends the answer
		}
	}
	if a.StreamOptions.IncludeUsage {
		reply.Choices = []any{}
		s.send(reply)
	}
	s.done()
}

// chunk is reply with one choice.
func (c completion) chunk(d delta, l *wireLogprobs, finish *string) completion {
	c.Choices = []any{chunkChoice{Delta: d, Logprobs: l, Finish: finish}}
	return c
}

// note logs an error that isn't the client's.
func (h *handler) note(r *http.Request, err error) {
	if r.Context().Err() == nil && public(err).Status == http.StatusInternalServerError {
		h.log.Error("answering failed", "error", err)
	}
}
