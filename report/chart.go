package report

import (
	"bytes"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// chart is one picture: lines, or an image with lines of labels at its side.
type chart struct {
	title  string
	note   string
	over   axis
	log    bool // y by powers of ten
	zero   bool // y starts at zero
	clip   bool // the highest hundredth of y may leave at the top: a loss starts far above where it spends its time
	curves []curve
	marks  []float64 // places on the x axis where the run went back
	image  *loadImage
}

// Sizes in points. A chart is as wide as a telephone, and a wider screen gets several in a row, so labels never shrink.
const (
	chartWidth  = 360
	chartHeight = 220
	labelSize   = 10
	columns     = 300 // that a curve is thinned to
)

// palette is how many colours lines have before they come again.
const palette = 8

// ink are the colours that charts are drawn in. They stand for variables of the page's style, which change with dark and light.
var (
	inkText = color.NRGBA{R: 0xf0, G: 0xf0, B: 1, A: 0xff}
	inkGrid = color.NRGBA{R: 0xf0, G: 0xf0, B: 2, A: 0xff}
	inkMark = color.NRGBA{R: 0xf0, G: 0xf0, B: 3, A: 0xff}
)

func inkLine(i int, faint bool) color.NRGBA {
	c := color.NRGBA{R: 0xf0, G: 0xf1, B: uint8(i % palette), A: 0xff}
	if faint {
		c.G = 0xf2
	}
	return c
}

// inks turns the colours into the variables.
func inks() *strings.Replacer {
	pairs := []string{
		"fill:#F0F001", "fill:var(--soft)", "stroke:#F0F001", "stroke:var(--soft)",
		"stroke:#F0F002", "stroke:var(--grid)", "stroke:#F0F003", "stroke:var(--mark)",
	}
	for i := range palette {
		line := fmt.Sprintf("var(--line%d)", i)
		pairs = append(pairs,
			fmt.Sprintf("stroke:#F0F1%02X", i), "stroke:"+line,
			fmt.Sprintf("fill:#F0F1%02X", i), "fill:"+line,
			fmt.Sprintf("stroke:#F0F2%02X", i), "stroke-opacity:.3;stroke:"+line)
	}
	return strings.NewReplacer(pairs...)
}

// empty tells whether there is nothing to see: no points, or a thing that is always zero, as is the load where there are no experts.
func (c *chart) empty() bool {
	for _, l := range c.curves {
		if slices.ContainsFunc(l.y, func(y float64) bool { return y != 0 || !c.zero }) {
			return false
		}
	}
	return c.image == nil
}

// legend is what the page writes under the title: in HTML, where it wraps and covers no line.
func (c *chart) legend() []legend {
	var list []legend
	for _, l := range c.curves {
		if l.name != "" && len(l.x) > 0 {
			style := fmt.Sprintf("background:var(--line%d)", l.color%palette)
			if l.color >= palette {
				style = fmt.Sprintf("background:repeating-linear-gradient(90deg,var(--line%d) 0 4px,transparent 4px 6px)", l.color%palette)
			}
			list = append(list, legend{Name: l.name, Style: template.CSS(style)})
		}
	}
	return list
}

type legend struct {
	Name  string
	Style template.CSS
}

// svg draws the chart for use inside a page.
func (c *chart) svg() (template.HTML, error) {
	p := plot.New()
	p.BackgroundColor = nil
	height := vg.Length(chartHeight)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		for _, s := range []*font.Font{&a.Label.TextStyle.Font, &a.Tick.Label.Font} {
			s.Variant, s.Size = "Sans", labelSize
		}
		a.Color, a.Tick.Color, a.Tick.Label.Color, a.Label.TextStyle.Color = inkGrid, inkGrid, inkText, inkText
		a.Tick.Length, a.Padding, a.Label.Padding = 3, 0, 2
	}
	p.Y.LineStyle.Width = 0
	if c.image != nil {
		height = c.image.draw(p)
	} else {
		c.draw(p)
	}
	var unit string
	p.X.Tick.Marker, unit = xTicks(c.over, p.X.Max)
	p.X.Label.Text = unit
	canvas := vgsvg.New(chartWidth, height)
	p.Draw(draw.Crop(draw.New(canvas), 1, -8, 2, -6))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return "", fmt.Errorf("drawing %s: %w", c.title, err)
	}
	_, body, ok := strings.Cut(b.String(), `xlink">`)
	if !ok {
		return "", fmt.Errorf("drawing %s: the plot library wrote no SVG that is known here", c.title)
	}
	body = inks().Replace(strings.ReplaceAll(body, "<image ", `<image preserveAspectRatio="none" `))
	open := fmt.Sprintf(`<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, chartWidth, int(height), template.HTMLEscapeString(c.title))
	return template.HTML(open + body), nil
}

// draw adds the curves and sets the axes' ranges.
func (c *chart) draw(p *plot.Plot) {
	var lines []plot.Plotter
	low, high, right := math.Inf(1), math.Inf(-1), 0.0
	for _, l := range c.curves {
		if c.log {
			l = l.logs()
		}
		if len(l.x) == 0 {
			continue
		}
		right = max(right, l.x[len(l.x)-1])
		low, high = c.stretch(low, high, l)
		lines = append(lines, l.thin(columns).plotters()...)
	}
	low, high = c.yRange(low, high)
	if right == 0 {
		right = 1
	}
	p.Y.Tick.Marker = yTicks{log: c.log}
	grid := plotter.NewGrid()
	grid.Vertical.Width, grid.Vertical.Color = 0, nil
	grid.Horizontal.Width, grid.Horizontal.Color = 0.5, inkGrid
	p.Add(grid)
	for _, x := range c.marks {
		mark, _ := plotter.NewLine(plotter.XYs{{X: x, Y: low}, {X: x, Y: high}}) // finite: no error
		mark.LineStyle = draw.LineStyle{Color: inkMark, Width: 0.8, Dashes: []vg.Length{2, 2}}
		p.Add(mark)
	}
	p.Add(lines...)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, right, low, high // Add widened them to the extremes
}

// logs is l with y's logarithms, without the points that have none.
func (l curve) logs() curve {
	s := l
	s.x, s.y = nil, nil
	for i, y := range l.y {
		if y > 0 {
			s.x, s.y = append(s.x, l.x[i]), append(s.y, math.Log10(y))
		}
	}
	return s
}

// stretch widens a range to the curve's.
func (c *chart) stretch(low, high float64, l curve) (float64, float64) {
	y := slices.Sorted(slices.Values(l.y))
	top := len(y) - 1
	switch {
	case c.clip && l.faint:
		top = 0 // its average says how high
	case c.clip:
		top -= len(y) / 100
	}
	return min(low, y[0]), max(high, y[top])
}

// yRange leaves a little room and is never empty.
func (c *chart) yRange(low, high float64) (float64, float64) {
	if low > high {
		low, high = 0, 1
	}
	if c.zero {
		low = min(low, 0)
	}
	room := (high - low) * 0.04
	if room == 0 {
		room = max(math.Abs(high)*0.1, 1e-12)
	}
	if c.zero && low == 0 {
		return 0, high + room
	}
	return low - room, high + room
}

// plotters are the line, and its points where they are to be seen.
func (l curve) plotters() []plot.Plotter {
	xy := make(plotter.XYs, len(l.x))
	for i := range xy {
		xy[i].X, xy[i].Y = l.x[i], l.y[i]
	}
	line, err := plotter.NewLine(xy)
	if err != nil {
		return nil // no points
	}
	line.LineStyle = draw.LineStyle{Color: inkLine(l.color, l.faint), Width: 1.4}
	if l.faint {
		line.Width = 0.7
	}
	if l.color >= palette {
		line.Dashes = []vg.Length{4, 2}
	}
	list := []plot.Plotter{line}
	if l.dots && len(xy) <= 60 || len(xy) == 1 { // a line of one point is not to be seen
		dots, _ := plotter.NewScatter(xy) // NewLine took the same points
		dots.GlyphStyle = draw.GlyphStyle{Color: inkLine(l.color, false), Radius: 1.8, Shape: draw.CircleGlyph{}}
		list = append(list, dots)
	}
	return list
}

// yTicks are round numbers, or powers of ten.
type yTicks struct{ log bool }

// Ticks is what the plot library calls.
func (t yTicks) Ticks(low, high float64) []plot.Tick {
	if t.log && high-low > 1 {
		every := math.Ceil((high - low) / 6)
		return ticks(low, high, every, func(v float64) string {
			if v > -4 && v < 5 {
				return strconv.FormatFloat(math.Pow(10, v), 'g', -1, 64)
			}
			return "1e" + strconv.Itoa(int(v))
		})
	}
	if t.log {
		return logTicks(low, high)
	}
	return ticks(low, high, round((high-low)/6), tickLabel(high))
}

// tickLabel writes ticks of an axis that goes up to high, the large ones short and all in one unit.
func tickLabel(high float64) func(float64) string {
	unit, name := 1.0, ""
	if high >= 1e4 {
		unit, name = unitOf(high)
		name = " " + name
	}
	return func(v float64) string {
		if v == 0 {
			return "0"
		}
		return strconv.FormatFloat(v/unit, 'g', 5, 64) + name
	}
}

// logTicks are round numbers within a decade, at their logarithms.
func logTicks(low, high float64) []plot.Tick {
	a, b := math.Pow(10, low), math.Pow(10, high)
	list := ticks(a, b, round((b-a)/6), tickLabel(b))
	kept := list[:0]
	for _, t := range list {
		if t.Value > 0 {
			kept = append(kept, plot.Tick{Value: math.Log10(t.Value), Label: t.Label})
		}
	}
	return kept
}

// ticks are the multiples of step in a range.
func ticks(low, high, step float64, label func(float64) string) []plot.Tick {
	var list []plot.Tick
	if !(step > 0) || (high-low)/step > 50 || math.Abs(low)/step > 1e9 || math.Abs(high)/step > 1e9 {
		return nil // a range too narrow for its place: nothing to tell apart
	}
	for i := math.Ceil(low / step); i*step <= high; i++ {
		v := i * step
		if i == 0 {
			v = 0 // not -0
		}
		list = append(list, plot.Tick{Value: v, Label: label(v)})
	}
	return list
}

// round is the 1, 2 or 5 times a power of ten that is next above v.
func round(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*p*(1+1e-9) {
			return m * p
		}
	}
	return 10 * p
}

// xMarks are ticks that are given.
type xMarks struct {
	step  float64
	label func(float64) string
}

// Ticks is what the plot library calls.
func (m xMarks) Ticks(low, high float64) []plot.Tick { return ticks(low, high, m.step, m.label) }

// xTicks are the ticks of an x axis from 0 to high, and its label.
func xTicks(a axis, high float64) (plot.Ticker, string) {
	plain := func(unit float64) func(float64) string {
		return func(v float64) string { return strconv.FormatFloat(v/unit, 'g', 6, 64) }
	}
	switch a {
	case bySeconds:
		return clockTicks(high)
	case byFLOPs:
		exponent := 0.0
		if high >= 1e4 {
			exponent = math.Floor(math.Log10(high))
			return xMarks{round(high / 5), plain(math.Pow(10, exponent))}, "FLOPs (10" + raised(strconv.Itoa(int(exponent))) + ")"
		}
		return xMarks{round(high / 5), plain(1)}, "FLOPs"
	}
	unit, name := unitOf(high)
	what := "steps"
	if a == byTokens {
		what = "tokens"
	}
	if name != "" {
		what += " (" + name + ")"
	}
	return xMarks{max(round(high/5), 1), plain(unit)}, what
}

// clockTicks are times that clocks show.
func clockTicks(high float64) (plot.Ticker, string) {
	const minute, hour, day = 60, 3600, 24 * 3600
	step := 0.0
	for _, s := range []float64{1, 2, 5, 10, 15, 30, minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute,
		hour, 2 * hour, 3 * hour, 6 * hour, 12 * hour, day} {
		if step = s; high/s <= 6 {
			break
		}
	}
	switch {
	case high/step > 6:
		return xMarks{round(high/day/5) * day, func(v float64) string { return strconv.FormatFloat(v/day, 'g', 6, 64) }}, "time (days)"
	case high < 6:
		return xMarks{round(high / 5), func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }}, "time (s)"
	case step < minute:
		return xMarks{step, func(v float64) string { return fmt.Sprintf("%d:%02d", int(v)/60, int(v)%60) }}, "time (min:s)"
	}
	return xMarks{step, func(v float64) string { return fmt.Sprintf("%d:%02d", int(v)/hour, int(v)%hour/60) }}, "time (h:min)"
}

// loadImage is the load of experts over time: a column of pixels a time, a row an expert, layers from the top down.
type loadImage struct {
	pixels *image.NRGBA
	rows   string  // what they are
	right  float64 // where the last column ends on the x axis
	layers []plot.Tick
}

// draw puts the image under p's axes and returns the height that it wants.
func (m *loadImage) draw(p *plot.Plot) vg.Length {
	rows := float64(m.pixels.Bounds().Dy())
	p.Add(plotter.NewImage(m.pixels, 0, 0, m.right, rows))
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, m.right, 0, rows
	p.Y.Tick.Marker = plot.ConstantTicks(m.layers)
	p.Y.Tick.LineStyle.Width = 0
	return vg.Length(min(max(rows*4, chartHeight-60), 2*chartHeight-40) + 40)
}
