package sample

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for want, o := range map[string]Options{
		"temperature is NaN":                      {Temperature: nan},
		"temperature is -1":                       {Temperature: -1},
		"temperature is 101":                      {Temperature: 101},
		"top-p is 1.1":                            {TopP: 1.1},
		"min-p is -0.1":                           {MinP: -0.1},
		"top-k is -1":                             {TopK: -1},
		"repetition penalty is -1":                {RepetitionPenalty: -1},
		"repetition penalty is +Inf":              {RepetitionPenalty: inf},
		"frequency penalty is 2.5":                {FrequencyPenalty: 2.5},
		"presence penalty is NaN":                 {PresencePenalty: nan},
		"token 10, which is not":                  {LogitBias: map[int32]float32{10: 1}},
		"token -1, which is not":                  {LogitBias: map[int32]float32{-1: 1}},
		"bias of token 3 is 101":                  {LogitBias: map[int32]float32{3: 101}},
		"bias of token 4 is NaN":                  {LogitBias: map[int32]float32{4: float32(nan)}},
		"top logprobs is 21":                      {Logprobs: true, TopLogprobs: 21},
		"top logprobs is -1":                      {Logprobs: true, TopLogprobs: -1},
		"ask for both":                            {TopLogprobs: 1},
		"token id 10 is not in the vocabulary":    {Thinking: Thinking{Begin: 1, End: 2, Close: []int32{10, 2}}},
		"thinking budget is -1":                   {Thinking: Thinking{Begin: 1, End: 2, Close: []int32{2}, Budget: -1}},
		"begins and ends with token 2":            {Thinking: Thinking{Begin: 2, End: 2, Close: []int32{2}}},
		"lack the one that ends it":               {Thinking: Thinking{Begin: 1, End: 2, Close: []int32{3}}},
		"closed by 300 tokens: want at most 256":  {Thinking: Thinking{Begin: 1, End: 2, Close: make([]int32, 300)}},
		"thinking: token id -3 is not in the voc": {Thinking: Thinking{Begin: -3, End: 2, Close: []int32{2}}},
	} {
		_, err := New(o, 10, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v, want one line with %q", o, err, want)
		}
	}
	if _, err := New(Options{}, 10, []int32{1, 10}); err == nil || !strings.Contains(err.Error(), "token id 10") {
		t.Errorf("a prompt with token 10: %v", err)
	}
	if _, err := New(Options{
		Temperature: 2, TopK: 1 << 40, TopP: 1, MinP: 1, RepetitionPenalty: 1.2, FrequencyPenalty: -2, PresencePenalty: 2,
		LogitBias: map[int32]float32{9: -100}, Logprobs: true, TopLogprobs: 20,
		Thinking: Thinking{Begin: 1, End: 2, Close: []int32{3, 2, 3}},
	}, 10, []int32{9}); err != nil {
		t.Error(err)
	}
}

// optionsFrom reads options and logits from bytes, those that are nonsense too.
func optionsFrom(data []byte) (Options, []float32) {
	next := func() uint32 {
		var b [4]byte
		data = data[copy(b[:], data):]
		return binary.LittleEndian.Uint32(b[:])
	}
	real := func() float64 {
		v := next()
		if v%3 > 0 { // mostly something near its range
			return float64(int32(v)%3000) / 1000
		}
		return float64(math.Float32frombits(v))
	}
	o := Options{
		Temperature: real(), TopK: int(int8(next())), TopP: real(), MinP: real(),
		RepetitionPenalty: real(), FrequencyPenalty: real(), PresencePenalty: real(), Seed: uint64(next()),
		TopLogprobs: int(int8(next()) % 32),
	}
	o.Logprobs = o.TopLogprobs > 0
	if b := next(); b%2 > 0 {
		o.LogitBias = map[int32]float32{int32(int8(b >> 8)): float32(real())}
	}
	var logits []float32
	for len(data) > 0 && len(logits) < 200 {
		logits = append(logits, math.Float32frombits(next()))
	}
	return o, logits
}

// FuzzSampler: whatever the options and logits, there is an error or a token that the reference allows.
func FuzzSampler(f *testing.F) {
	f.Add([]byte("temperature top-k top-p and then some more for the rest of the options, and logits"))
	f.Add(make([]byte, 400))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, logits := optionsFrom(data)
		s, err := New(o, len(logits), nil)
		if err != nil || len(logits) == 0 {
			return
		}
		finite := true
		for _, v := range logits {
			finite = finite && v-v == 0
		}
		want, margin := reference(o, logits, nil, nil)
		token, err := s.Next(logits)
		if err != nil {
			if finite && err == ErrNoToken {
				t.Fatal(err)
			}
			return
		}
		if int(token.ID) >= len(logits) || token.ID < 0 {
			t.Fatalf("token %d of %d", token.ID, len(logits))
		}
		if finite && margin > 1e-5 && want[token.ID] == 0 && o.Temperature >= 0.1 {
			t.Errorf("%+v: token %d, which is ruled out", o, token.ID)
		}
		if len(token.Top) != min(o.TopLogprobs, len(logits)) {
			t.Errorf("%d most likely tokens, want %d", len(token.Top), o.TopLogprobs)
		}
	})
}
