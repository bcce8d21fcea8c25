package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// TestOfficialClient: OpenAI's own client for Go reads what sprat sends, and sends what sprat reads.
func TestOfficialClient(t *testing.T) {
	link, stop := start(t)
	defer stop()
	client := openai.NewClient(option.WithBaseURL(strings.Split(link, "#")[0]+"v1"), option.WithAPIKey("none"), option.WithMaxRetries(0))
	ask := openai.ChatCompletionNewParams{
		Model:         "nano",
		Messages:      []openai.ChatCompletionMessageParamUnion{openai.SystemMessage("Work it out."), openai.UserMessage("What is 348 times 27?")},
		MaxTokens:     openai.Int(400),
		Temperature:   openai.Float(0.8),
		Seed:          openai.Int(3),
		Logprobs:      openai.Bool(true),
		TopLogprobs:   openai.Int(2),
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	}
	t.Run("models", func(t *testing.T) {
		page, err := client.Models.List(t.Context())
		if err != nil || len(page.Data) != 1 || page.Data[0].ID != "nano" || page.Data[0].OwnedBy != "sprat" {
			t.Errorf("%v: %+v", err, page)
		}
	})
	atOnce := option.WithJSONSet("thinking", map[string]string{"type": "disabled"})
	whole, err := client.Chat.Completions.New(t.Context(), ask, atOnce)
	if err != nil {
		t.Fatal(err)
	}
	tokens := whole.Usage.CompletionTokens // the one that ends it, which has no text, among them
	t.Run("whole", func(t *testing.T) {
		c := whole.Choices[0]
		if c.Message.Content == "" || c.Message.Role != "assistant" || c.FinishReason != "stop" || len(c.Logprobs.Content) != int(tokens)-1 {
			t.Errorf("%+v", whole)
		}
		if !c.Message.JSON.Content.Valid() || !whole.JSON.SystemFingerprint.Valid() || len(c.Logprobs.Content[0].TopLogprobs) != 2 {
			t.Errorf("fields are missing in %s", whole.RawJSON())
		}
	})
	t.Run("stream", func(t *testing.T) {
		stream := client.Chat.Completions.NewStreaming(t.Context(), ask, atOnce)
		defer stream.Close()
		var all openai.ChatCompletionAccumulator
		for stream.Next() {
			if !all.AddChunk(stream.Current()) {
				t.Fatalf("a chunk that does not fit: %s", stream.Current().RawJSON())
			}
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		c := all.Choices[0]
		if c.Message.Content != whole.Choices[0].Message.Content || c.FinishReason != "stop" || len(c.Logprobs.Content) != int(tokens)-1 {
			t.Errorf("the same request and seed: %q in a stream, %q whole", c.Message.Content, whole.Choices[0].Message.Content)
		}
		last := stream.Current()
		var usage struct {
			Hit  int `json:"prompt_cache_hit_tokens"`
			Miss int `json:"prompt_cache_miss_tokens"`
		}
		if err := json.Unmarshal([]byte(last.Usage.RawJSON()), &usage); err != nil || usage.Hit+usage.Miss != int(last.Usage.PromptTokens) || last.Usage.TotalTokens != last.Usage.PromptTokens+tokens {
			t.Errorf("%v: usage %s", err, last.Usage.RawJSON())
		}
	})
	t.Run("thought", func(t *testing.T) {
		thinking, err := client.Chat.Completions.New(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		message, details := thinking.Choices[0].Message, thinking.Usage.CompletionTokensDetails
		if thought := message.JSON.ExtraFields["reasoning_content"].Raw(); len(thought) < 10 || details.ReasoningTokens < 1 || message.Content == "" {
			t.Errorf("thought %s, answer %q, %d tokens of thought", thought, message.Content, details.ReasoningTokens)
		}
	})
	t.Run("error", func(t *testing.T) {
		wrong := ask
		wrong.Model = "gpt-7"
		_, err := client.Chat.Completions.New(t.Context(), wrong)
		if e := new(openai.Error); !errors.As(err, &e) || e.StatusCode != 404 || e.Code != "model_not_found" || e.Param != "model" {
			t.Errorf("%v", err)
		}
	})
	t.Run("left", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		long := ask
		long.MaxTokens = openai.Int(900)
		stream := client.Chat.Completions.NewStreaming(ctx, long)
		defer stream.Close()
		stream.Next()
		cancel()
		for stream.Next() {
		}
		if err := stream.Err(); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}
