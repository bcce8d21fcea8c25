package report

// Ledger is a run's bill. It counts all that was computed, work that was lost included.
type Ledger struct {
	Tokens             int64   `json:"tokens"`
	FLOPs              float64 `json:"flops"` // tokens times the model's FLOPs a token; recomputation and evaluation are not in it
	Seconds            float64 `json:"seconds"`
	CoreHours          float64 `json:"core_hours"`
	DollarsPerCoreHour float64 `json:"dollars_per_core_hour"` // the latest session's
	Dollars            float64 `json:"dollars"`
	PeakShare          float64 `json:"peak_share"` // FLOPs over what the cores could have done in that time; 0 is not known
	LostTokens         int64   `json:"lost_tokens"`
	LostSeconds        float64 `json:"lost_seconds"`
	Sessions           int     `json:"sessions"`
	Returns            int     `json:"returns"`       // times that it went back
	SkippedSteps       int     `json:"skipped_steps"` // those lost included
}

// bill adds a run up.
type bill struct {
	tokens, seconds           counter
	billedTokens, billedSecs  float64
	flops, coreHours, dollars float64
	possible                  float64 // FLOPs at the measured peak
	skipped                   int     // steps
}

// counter follows a count that may be set back: at is where it stands, spent what it has counted in all, and lost the part of
// that which went for nothing. Between two sets the difference of two readings is taken, so that sums stay exact.
type counter struct {
	at, from, before, lost float64
}

func (c *counter) spent() float64  { return c.before + (c.at - c.from) }
func (c *counter) useful() float64 { return c.spent() - c.lost }

// advance moves on to v. A v that is less, though nothing was said of going back, starts counting there.
func (c *counter) advance(v float64) {
	if v < c.at {
		c.set(v)
	}
	c.at = v
}

func (c *counter) set(v float64) {
	c.before, c.from, c.at = c.spent(), v, v
}

// back goes on from v after work was thrown away (dropped) that began when useful was kept. Where the count was set back too,
// by that much it was for nothing; where it ran on, all since kept was.
func (c *counter) back(v, kept float64, dropped bool) {
	switch {
	case v < c.at:
		c.lost = min(c.lost+(c.at-v), c.spent())
		c.set(v)
	default:
		c.advance(v)
		if dropped {
			c.lost += max(c.useful()-kept, 0)
		}
	}
}

func (b *bill) advance(tokens int64, seconds float64) {
	b.tokens.advance(float64(tokens))
	b.seconds.advance(seconds)
}

// close charges what came since the last call at the rates of s.
func (b *bill) close(s Start) {
	tokens, seconds := b.tokens.spent()-b.billedTokens, b.seconds.spent()-b.billedSecs
	b.billedTokens, b.billedSecs = b.tokens.spent(), b.seconds.spent()
	hours := seconds * float64(s.Cores) / 3600
	b.flops += tokens * s.FLOPsPerToken
	b.coreHours += hours
	b.dollars += hours * s.DollarsPerCoreHour
	b.possible += seconds * s.PeakFLOPs
}

func (b *bill) ledger(r *Run) Ledger {
	l := Ledger{
		Tokens: int64(b.tokens.spent()), FLOPs: b.flops, Seconds: b.seconds.spent(), CoreHours: b.coreHours,
		DollarsPerCoreHour: r.Start.DollarsPerCoreHour, Dollars: b.dollars,
		LostTokens: int64(b.tokens.lost), LostSeconds: b.seconds.lost, Sessions: r.Sessions, Returns: len(r.Returns),
		SkippedSteps: b.skipped,
	}
	if b.possible > 0 {
		l.PeakShare = b.flops / b.possible
	}
	return l
}
