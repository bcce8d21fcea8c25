package sample

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// reference is the distribution that o makes of logits after a prompt and a continuation, in float64 and by sorting, and how near
// its cuts are to the next token: rounding decides if that is little.
func reference(o Options, logits []float32, prompt, continuation []int32) (p []float64, margin float64) {
	l := make([]float64, len(logits))
	for i, v := range logits {
		l[i] = float64(v) + float64(o.LogitBias[int32(i)])
		times := 0.0
		for _, id := range continuation {
			if int(id) == i {
				times++
			}
		}
		if r := o.RepetitionPenalty; r != 0 && (times > 0 || slices.Contains(prompt, int32(i))) {
			if l[i] > 0 {
				l[i] /= r
			} else {
				l[i] *= r
			}
		}
		l[i] -= times * o.FrequencyPenalty
		if times > 0 {
			l[i] -= o.PresencePenalty
		}
		l[i] = float64(float32(l[i])) // so that ties are the same
	}
	order := make([]int, len(l))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(l[b], l[a]) })
	p, margin = make([]float64, len(l)), 1
	if o.Temperature == 0 {
		p[order[0]] = 1
		return p, margin
	}
	for i := range p {
		p[i] = math.Exp((l[i] - l[order[0]]) / o.Temperature)
	}
	n := len(order)
	if o.TopK > 0 {
		n = min(n, o.TopK)
	}
	sum, all := 0.0, 0.0
	for _, i := range order[:n] {
		all += p[i]
	}
	if o.TopP > 0 && o.TopP < 1 {
		for j, i := range order[:n] {
			sum += p[i]
			margin = min(margin, math.Abs(sum/all-o.TopP))
			if sum/all >= o.TopP {
				n = j + 1
				break
			}
		}
	}
	for j, i := range order[:n] {
		if p[i] != o.MinP { // the largest is 1 exactly
			margin = min(margin, math.Abs(p[i]-o.MinP))
		}
		if p[i] < o.MinP {
			n = j
			break
		}
	}
	for _, i := range order[:n] { // near ties across the cut may be ties of weights
		for _, j := range order[n:] {
			if l[i] != l[j] {
				margin = min(margin, 1-p[j]/p[i])
				break
			}
		}
	}
	kept := make([]float64, len(p))
	sum = 0
	for _, i := range order[:n] {
		sum += p[i]
	}
	for _, i := range order[:n] {
		kept[i] = p[i] / sum
	}
	return kept, margin
}

func randomLogits(rng *rand.Rand, n int) []float32 {
	spread, grain := math.Exp(rng.Float64()*4-1), []float64{0, 0, 0.5, 4}[rng.IntN(4)]
	x := make([]float32, n)
	for i := range x {
		v := rng.NormFloat64() * spread
		if grain > 0 { // ties
			v = math.Round(v/grain) * grain
		}
		x[i] = float32(v)
		if i > 0 && rng.IntN(10) == 0 {
			x[i] = float32(math.Inf(-1))
		}
	}
	return x
}

func randomOptions(rng *rand.Rand, vocab int) Options {
	pick := func(off float64, on ...float64) float64 {
		if rng.IntN(2) == 0 {
			return off
		}
		return on[rng.IntN(len(on))]
	}
	o := Options{
		Temperature:       pick(1, 0, 0.2, 0.7, 1.5),
		TopK:              int(pick(0, 1, 2, 5, 20, 70, 1000)),
		TopP:              pick(0, 0.01, 0.3, 0.9, 0.95, 1),
		MinP:              pick(0, 0.01, 0.1, 0.9, 1),
		RepetitionPenalty: pick(0, 0.7, 1, 1.3),
		FrequencyPenalty:  pick(0, -0.5, 0.3, 2),
		PresencePenalty:   pick(0, -1, 0.6),
	}
	for range int(pick(0, 1, 3)) {
		if o.LogitBias == nil {
			o.LogitBias = map[int32]float32{}
		}
		o.LogitBias[int32(rng.IntN(vocab))] = float32(rng.NormFloat64() * 5)
	}
	return o
}

// chiSquare compares counts of n draws with their probabilities; what is expected less than five times is pooled. A token of
// probability 0 must not have come.
func chiSquare(t *testing.T, what any, count []int, n float64, want []float64) (chi, degrees float64) {
	t.Helper()
	degrees = -1
	rest, restWant := 0.0, 0.0
	add := func(got, want float64) {
		chi += (got - want) * (got - want) / want
		degrees++
	}
	for id, p := range want {
		switch got := float64(count[id]); {
		case p == 0 && got > 0:
			t.Fatalf("%+v: token %d was ruled out, and came %v times", what, id, got)
		case n*p >= 5:
			add(got, n*p)
		default:
			rest, restWant = rest+got, restWant+n*p
		}
	}
	if restWant >= 5 {
		add(rest, restWant)
	}
	if degrees < 1 {
		return 0, 0
	}
	if chi > degrees+10+10*math.Sqrt(2*degrees) { // far out also for the long tail of few degrees
		t.Fatalf("%+v: chi-square %v with %v degrees of freedom: %v, want %v", what, chi, degrees, count, want)
	}
	return chi, degrees
}

// Whatever the options, Next draws from the reference's distribution: chi-squares, and their sum over all cases within five
// standard deviations.
func TestAgainstReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n = 1500
	chi, degrees, compared := 0.0, 0.0, 0
	for range 500 {
		vocab := 1 + rng.IntN([]int{5, 20, 300}[rng.IntN(3)])
		o, logits := randomOptions(rng, vocab), randomLogits(rng, vocab)
		o.Seed = rng.Uint64()
		ids := make([]int32, 24)
		for i := range ids {
			ids[i] = int32(rng.IntN(vocab))
		}
		prompt, continuation := ids[:12], ids[12:12+rng.IntN(12)]
		want, margin := reference(o, logits, prompt, continuation)
		if margin < 1e-5 {
			continue
		}
		s, err := New(o, vocab, prompt)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range continuation {
			s.Accept(id)
		}
		count, x := make([]int, vocab), make([]float32, vocab)
		for range n {
			copy(x, logits)
			id, err := s.choose(x)
			if err != nil {
				t.Fatal(err)
			}
			s.random.position++
			count[id]++
		}
		c, d := chiSquare(t, o, count, n, want)
		chi, degrees, compared = chi+c, degrees+d, compared+1
	}
	if compared < 400 {
		t.Errorf("only %d cases compared", compared)
	}
	if math.Abs(chi-degrees) > 5*math.Sqrt(2*degrees) {
		t.Errorf("chi-squares add up to %v with %v degrees of freedom", chi, degrees)
	}
}

func TestNextFollowsTheDistribution(t *testing.T) {
	logits := []float32{0, 1, 2, -1, 2, float32(math.Inf(-1)), 0.5, -2}
	for _, o := range []Options{
		{Temperature: 1}, {Temperature: 0.6, Seed: 9}, {Temperature: 1, TopP: 0.9, Choice: 3}, {Temperature: 2, TopK: 3},
		{Temperature: 1.3, MinP: 0.2}, {Temperature: 1, TopK: 5, TopP: 0.95, MinP: 0.01, LogitBias: map[int32]float32{3: 2}},
		{Temperature: 5, TopP: 0.05}, {Temperature: 1, TopK: 4, MinP: 1}, {Temperature: 1, TopP: 0.99, MinP: 0.1},
	} {
		s, err := New(o, len(logits), nil)
		if err != nil {
			t.Fatal(err)
		}
		const n = 100000
		count, x := make([]int, len(logits)), make([]float32, len(logits))
		for range n {
			copy(x, logits)
			token, err := s.Next(x)
			if err != nil {
				t.Fatal(err)
			}
			count[token.ID]++
		}
		want, _ := reference(o, logits, nil, nil)
		if chi, degrees := chiSquare(t, o, count, n, want); chi > degrees+5*math.Sqrt(2*degrees) {
			t.Errorf("%+v: chi-square %v with %v degrees of freedom: %v of %v", o, chi, degrees, count, want)
		}
	}
}

// continuation of n tokens over logits that are a function of the position.
func continuation(t *testing.T, s *Sampler, from, n int) []int32 {
	t.Helper()
	var ids []int32
	for i := from; i < from+n; i++ {
		token, err := s.Next(randomLogits(rand.New(rand.NewPCG(5, uint64(i))), 50))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, token.ID)
	}
	return ids
}

func TestSeedAndPositionDecide(t *testing.T) {
	o := Options{Temperature: 1, FrequencyPenalty: 0.4, RepetitionPenalty: 1.2, TopP: 0.99, Seed: 7}
	fresh := func(change func(*Options)) *Sampler {
		o := o
		change(&o)
		s, err := New(o, 50, []int32{1, 2, 3})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	want := continuation(t, fresh(func(o *Options) {}), 0, 60)
	resumed := fresh(func(o *Options) {})
	for _, id := range want[:25] {
		resumed.Accept(id)
	}
	if got := continuation(t, resumed, 25, 35); !slices.Equal(got, want[25:]) {
		t.Errorf("resumed after 25 tokens: %v, want %v", got, want[25:])
	}
	for what, change := range map[string]func(*Options){
		"another seed": func(o *Options) { o.Seed++ }, "another choice": func(o *Options) { o.Choice++ },
	} {
		if got := continuation(t, fresh(change), 0, 60); slices.Equal(got, want) {
			t.Errorf("%s gives the same %v", what, got)
		}
	}
}

// Numbers of neighbouring seeds, choices, positions and tries are independent: their products have the mean of independent ones.
func TestRandom(t *testing.T) {
	tried := func(seed, choice, position, try uint64) float64 {
		r := newRandom(seed, choice)
		r.position = position
		return r.uniform(try) - 0.5
	}
	at := func(seed, choice, position uint64) float64 { return tried(seed, choice, position, 0) }
	const n = 100000
	sums := map[string]float64{}
	for i := range uint64(n) {
		seed, choice, position := i/2000, i/50%40, i%50
		u := at(seed, choice, position)
		sums["mean"] += u * math.Sqrt(1.0/12)
		sums["next seed"] += u * at(seed+1, choice, position)
		sums["next choice"] += u * at(seed, choice+1, position)
		sums["next position"] += u * at(seed, choice, position+1)
		sums["next try"] += u * tried(seed, choice, position, 1)
		sums["second and third try"] += tried(seed, choice, position, 1) * tried(seed, choice, position, 2)
		sums["try for position"] += at(seed, choice, position+1) * tried(seed, choice, position, 1)
		sums["choice for position"] += u * at(seed, choice+1, position-1)
	}
	for what, sum := range sums {
		if sigma := math.Sqrt(n) / 12; math.Abs(sum) > 5*sigma {
			t.Errorf("%s: %v, %v standard deviations", what, sum, sum/sigma)
		}
	}
}

func TestPenaltiesByHand(t *testing.T) {
	s, err := New(Options{
		RepetitionPenalty: 2, FrequencyPenalty: 0.5, PresencePenalty: 1, LogitBias: map[int32]float32{4: 3, 0: -1},
	}, 6, []int32{0, 1, 1, 4})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []int32{1, 2, 2} {
		s.Accept(id)
	}
	x := []float32{4, -3, 6, 5, -1, -8}
	if err := s.adjust(x); err != nil {
		t.Fatal(err)
	}
	want := []float32{
		1.5,  // (4 - 1)/2
		-7.5, // -3·2 - 0.5 - 1
		1,    // 6/2 - 2·0.5 - 1
		5,    // never seen
		1,    // (-1 + 3)/2
		-8,
	}
	if !slices.Equal(x, want) {
		t.Errorf("%v, want %v", x, want)
	}
}

func TestGreedy(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		logits []float32
		want   int32
	}{
		{[]float32{1, 3, 3, 2}, 1}, {[]float32{-inf, -5}, 1}, {[]float32{0}, 0}, {append(make([]float32, 5000), 1, 1), 5000},
	} {
		for _, temperature := range []float64{0, 1e-4} {
			s, err := New(Options{Temperature: temperature}, len(c.logits), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := s.Next(slices.Clone(c.logits)); err != nil || got.ID != c.want {
				t.Errorf("temperature %v: token %d, %v, want %d", temperature, got.ID, err, c.want)
			}
		}
	}
}

func TestBrokenLogits(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, temperature := range []float64{0, 1} {
		s, err := New(Options{Temperature: temperature}, 70, nil)
		if err != nil {
			t.Fatal(err)
		}
		logits := make([]float32, 70)
		for i := range logits {
			logits[i] = -inf
		}
		if _, err := s.Next(slices.Clone(logits)); !errors.Is(err, ErrNoToken) {
			t.Errorf("temperature %v, -Inf alone: %v", temperature, err)
		}
		logits[5] = nan
		if _, err := s.Next(logits); !errors.Is(err, ErrNotFinite) {
			t.Errorf("temperature %v, -Inf and a NaN: %v", temperature, err)
		}
	}
	for _, o := range []Options{{}, {Temperature: 1}, {Temperature: 0.5, TopP: 0.9}, {Temperature: 1, TopK: 3}, {Logprobs: true}} {
		for _, bad := range []float32{nan, inf} {
			for at := range 70 { // in vectors and in their tail
				logits := make([]float32, 70)
				logits[at], logits[(at+1)%70] = bad, -inf
				s, err := New(o, 70, nil)
				if err != nil {
					t.Fatal(err)
				}
				if id, err := s.Next(logits); !errors.Is(err, ErrNotFinite) {
					t.Fatalf("%+v: %v at %d gives token %v, %v", o, bad, at, id, err)
				}
			}
		}
	}
}
