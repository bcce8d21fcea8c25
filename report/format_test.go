package report

import (
	"math"
	"testing"
)

func TestFormats(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		what   string
		format func(float64) string
		v      float64
		want   string
	}{
		{"count", count, 0, "0"},
		{"count", count, 999, "999"},
		{"count", count, 1000, "1.00 k"},
		{"count", count, 12_345, "12.3 k"},
		{"count", count, 123_456, "123 k"},
		{"count", count, 999_999, "1.00 M"},
		{"count", count, 671_026_419_200, "671 B"},
		{"count", count, 14.8e12, "14.8 T"},
		{"count", count, 1.5e18, "1500000 T"},
		{"count", count, nan, "–"},
		{"power", power, 9999, "1e+04"},
		{"power", power, 1234, "1.23e+03"},
		{"power", power, 12_500, "1.25·10⁴"},
		{"power", power, 3.3e24, "3.30·10²⁴"},
		{"power", power, 1e20, "1.00·10²⁰"},
		{"power", power, inf, "–"},
		{"span", span, 0, "0.0 s"},
		{"span", span, 59.96, "1:00 min"},
		{"span", span, 245, "4:05 min"},
		{"span", span, 3599.7, "1:00 h"},
		{"span", span, 12_000, "3:20 h"},
		{"span", span, 184_800, "2 d 3:20 h"},
		{"span", span, nan, "–"},
		{"dollars", dollars, 0, "$0.00"},
		{"dollars", dollars, 0.0029, "$0.0029"},
		{"dollars", dollars, 0.04, "$0.040"},
		{"dollars", dollars, 0.5, "$0.50"},
		{"dollars", dollars, 5_576_000, "$5576000.00"},
		{"dollars", dollars, nan, "–"},
		{"percent", percent, 0.4024, "40.2 %"},
		{"percent", percent, 0, "–"},
		{"percent", percent, nan, "–"},
	} {
		if got := c.format(c.v); got != c.want {
			t.Errorf("%s of %v is %q, want %q", c.what, c.v, got, c.want)
		}
	}
	if a, b := fixed(1.23456, 3), fixed(nan, 3); a != "1.235" || b != "–" {
		t.Errorf("fixed: %s and %s", a, b)
	}
}
