package report

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/plot"
)

// TestThinKeepsExtremes holds a thinned curve to the whole: each of its parts keeps its ends, its lowest and its highest point.
func TestThinKeepsExtremes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 399, 400, 401, 100_000} {
		var c curve
		for i := range n {
			c.add(float64(i), r.NormFloat64())
		}
		if n > 1000 {
			c.y[n/3], c.y[n/2] = 1e6, -1e6
		}
		const parts = 100
		thin := c.thin(parts)
		if len(thin.x) > 4*parts || n <= 4*parts && len(thin.x) != n {
			t.Errorf("%d points become %d", n, len(thin.x))
		}
		if !slices.IsSorted(thin.x) {
			t.Errorf("%d points: the thinned are in disorder", n)
		}
		for i, x := range thin.x {
			if thin.y[i] != c.y[int(x)] {
				t.Fatalf("%d points: one at %v that was not there", n, x)
			}
		}
		for p := range parts {
			from, to := p*n/parts, (p+1)*n/parts
			if from == to {
				continue
			}
			whole := c.y[from:to]
			a, _ := slices.BinarySearch(thin.x, float64(from))
			b, _ := slices.BinarySearch(thin.x, float64(to))
			part := thin.y[a:b]
			if slices.Min(part) != slices.Min(whole) || slices.Max(part) != slices.Max(whole) || part[0] != whole[0] || part[len(part)-1] != whole[len(whole)-1] {
				t.Fatalf("%d points: part %d lost something", n, p)
			}
		}
	}
}

func TestCurvesLeaveOutWhatHasNoPlace(t *testing.T) {
	var c curve
	for _, y := range []float64{1, math.NaN(), 2, math.Inf(1), math.Inf(-1), 1e30, 3} {
		c.add(float64(len(c.x)), y)
		c.add(math.NaN(), 1)
	}
	if !slices.Equal(c.y, []float64{1, 2, 3}) {
		t.Errorf("the curve is %v", c.y)
	}
}

// TestSmooth checks the average's first points, which weigh nothing that is not there, and where a long step leads.
func TestSmooth(t *testing.T) {
	short := curve{x: []float64{1, 2}, y: []float64{5, 7}}.smooth()
	if !slices.Equal(short.y, []float64{5, 7}) {
		t.Errorf("two points became %v", short.y)
	}
	var c curve
	for i := range 1000 {
		c.add(float64(i), 4)
	}
	if y := c.smooth().y; slices.ContainsFunc(y, func(v float64) bool { return math.Abs(v-4) > 1e-12 }) {
		t.Error("an average of one value is not that value")
	}
	for i := 500; i < 1000; i++ {
		c.y[i] = 8
	}
	// Ten points later, a weight of 0.9¹⁰ is left to what was before.
	if got, want := c.smooth().y[509], 8-4*math.Pow(0.9, 10); math.Abs(got-want) > 1e-9 {
		t.Errorf("after a step the average is %v, want %v", got, want)
	}
}

func TestRangeOfAChart(t *testing.T) {
	var spiky curve
	for i := range 1000 {
		spiky.add(float64(i), 2+float64(i)/1000)
	}
	spiky.y[500], spiky.y[501] = 1e6, 1
	for _, c := range []struct {
		name      string
		chart     chart
		curves    []curve
		low, high float64
	}{
		{"all", chart{}, []curve{spiky}, 1, 1e6},
		{"a spike leaves at the top", chart{clip: true}, []curve{spiky}, 1, 2.99},
		{"faint, it makes room below only", chart{clip: true}, []curve{spiky.background(), {y: []float64{2, 4}}}, 1, 4},
		{"few points leave nowhere", chart{clip: true}, []curve{{y: []float64{9, 2, 3}}}, 2, 9},
	} {
		low, high := math.Inf(1), math.Inf(-1)
		for _, l := range c.curves {
			low, high = c.chart.stretch(low, high, l)
		}
		if low != c.low || math.Abs(high-c.high) > 0.01 {
			t.Errorf("%s: from %v to %v, want %v to %v", c.name, low, high, c.low, c.high)
		}
	}
	for _, c := range []struct {
		zero      bool
		low, high float64
		a, b      float64
	}{
		{false, 0, 100, -4, 104},
		{true, 50, 100, 0, 104},
		{true, -10, 90, -14, 94},
		{false, 5, 5, 4.5, 5.5},
		{true, 0, 0, 0, 1e-12},
		{false, math.Inf(1), math.Inf(-1), -0.04, 1.04},
	} {
		a, b := (&chart{zero: c.zero}).yRange(c.low, c.high)
		if math.Abs(a-c.a) > 1e-9 || math.Abs(b-c.b) > 1e-9 || a >= b {
			t.Errorf("%v to %v, zero %v: %v to %v, want %v to %v", c.low, c.high, c.zero, a, b, c.a, c.b)
		}
	}
}

func labels(list []plot.Tick) string {
	var s []string
	for _, t := range list {
		s = append(s, t.Label)
	}
	return strings.Join(s, " ")
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		name      string
		ticker    plot.Ticker
		low, high float64
		want      string
	}{
		{"a loss", yTicks{}, 2.1, 8.4, "4 6 8"},
		{"a narrow loss", yTicks{}, 2.00, 2.05, "2 2.01 2.02 2.03 2.04 2.05"},
		{"around zero", yTicks{}, -1, 1, "-1 -0.5 0 0.5 1"},
		{"a rate", yTicks{}, 0, 1e-3, "0 0.0002 0.0004 0.0006 0.0008 0.001"},
		{"tokens a second", yTicks{}, 0, 250_000, "0 50 k 100 k 150 k 200 k 250 k"},
		{"norms within a decade", yTicks{log: true}, math.Log10(0.4), math.Log10(3.1), "0.5 1 1.5 2 2.5 3"},
		{"norms over decades", yTicks{log: true}, -5.5, 6.5, "1e-4 0.01 1 100 10000 1e6"},
		{"no room", yTicks{}, 1e15, 1e15 + 1, ""},
	} {
		if got := labels(c.ticker.Ticks(c.low, c.high)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	for _, c := range []struct {
		axis  axis
		high  float64
		want  string
		label string
	}{
		{bySteps, 300, "0 100 200 300", "steps"},
		{bySteps, 2, "0 1 2", "steps"},
		{byTokens, 1_536_000, "0 0.5 1 1.5", "tokens (M)"},
		{byTokens, 14.8e12, "0 5 10", "tokens (T)"},
		{byFLOPs, 4.9e13, "0 1 2 3 4", "FLOPs (10¹³)"},
		{byFLOPs, 5, "0 1 2 3 4 5", "FLOPs"},
		{bySeconds, 2, "0 0.5 1 1.5 2", "time (s)"},
		{bySeconds, 45, "0:00 0:10 0:20 0:30 0:40", "time (min:s)"},
		{bySeconds, 1084, "0:00 0:05 0:10 0:15", "time (h:min)"},
		{bySeconds, 20 * 3600, "0:00 6:00 12:00 18:00", "time (h:min)"},
		{bySeconds, 60 * 24 * 3600, "0 20 40 60", "time (days)"},
	} {
		ticker, label := xTicks(c.axis, c.high)
		if got := labels(ticker.Ticks(0, c.high)); got != c.want || label != c.label {
			t.Errorf("to %v: %s, %s; want %s, %s", c.high, got, label, c.want, c.label)
		}
	}
}

// TestChartsInk holds drawings to the page's variables: a colour that no variable stands for would not change with dark and light.
func TestChartsInk(t *testing.T) {
	c := &chart{title: "<t>", marks: []float64{1}}
	for i := range palette + 1 {
		c.curves = append(c.curves, curve{name: "c", x: []float64{0, 1, 2}, y: []float64{1, float64(i), 2}, color: i, faint: i == 1, dots: i == 2})
	}
	html, err := c.svg()
	if err != nil {
		t.Fatal(err)
	}
	svg := string(html)
	if strings.Contains(strings.ToUpper(svg), "F0F") || strings.Contains(svg, "#000000") {
		t.Errorf("a colour of its own in %s", svg)
	}
	if !strings.Contains(svg, `aria-label="&lt;t&gt;"`) || !strings.HasPrefix(svg, "<svg viewBox=") || strings.Contains(svg, "http") {
		t.Errorf("the drawing begins %.200s", svg)
	}
	for name, n := range map[string]int{"stroke:var(--line0)": 2, "stroke-opacity:.3;stroke:var(--line1)": 1, "fill:var(--line2)": 3, "var(--mark)": 1} {
		if got := strings.Count(svg, name); got != n {
			t.Errorf("%d times %s, want %d", got, name, n)
		}
	}
	for i := range palette {
		for _, name := range []string{"--line" + string(rune('0'+i)) + ":", "--soft:", "--grid:", "--mark:"} {
			if strings.Count(pageText, name) != 2 {
				t.Errorf("the page has no %s for light and dark", name)
			}
		}
	}
	list := c.legend()
	if len(list) != palette+1 || list[0].Style == list[palette].Style || !strings.Contains(string(list[palette].Style), "--line0") {
		t.Errorf("the legend is %v", list)
	}
}

// TestOnePointIsSeen: a line needs two points.
func TestOnePointIsSeen(t *testing.T) {
	if n := len(curve{x: []float64{1}, y: []float64{1}}.plotters()); n != 2 {
		t.Errorf("one point has %d plotters, want a line and a dot", n)
	}
	if n := len(curve{x: []float64{1, 2}, y: []float64{1, 2}}.plotters()); n != 1 {
		t.Errorf("two points have %d plotters, want a line", n)
	}
}
