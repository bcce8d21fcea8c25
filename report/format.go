package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// count writes n with a unit: 999, 1.23 k, 45.6 M, 14.8 T.
func count(n float64) string {
	if !drawable(n) {
		return "–"
	}
	unit, name := unitOf(n)
	v := n / unit
	digits := 0
	if unit > 1 {
		digits = 2 - min(2, int(math.Log10(max(math.Abs(v), 1))))
	}
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', digits, 64)+" "+name, " ")
}

// unitOf is the unit that n is told in.
func unitOf(n float64) (float64, string) {
	for _, u := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(n) >= 0.9995*u.size { // 1.00 M, not 1000 k
			return u.size, u.name
		}
	}
	return 1, ""
}

// power writes a large number as 1.2·10¹⁵.
func power(n float64) string {
	if !drawable(n) {
		return "–"
	}
	if math.Abs(n) < 1e4 {
		return strconv.FormatFloat(n, 'g', 3, 64)
	}
	digits, exponent, _ := strings.Cut(strconv.FormatFloat(n, 'e', 2, 64), "e+")
	return digits + "·10" + raised(exponent)
}

// raised writes digits as an exponent.
func raised(digits string) string {
	return strings.Map(func(d rune) rune { return []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")[(d-'0')%10] }, strings.TrimLeft(digits, "0"))
}

// span writes a time: 12.3 s, 4:05 min, 3:20 h, 2 d 3:20 h.
func span(seconds float64) string {
	const day = 24 * 3600
	switch s := int64(seconds + 0.5); {
	case !drawable(seconds):
		return "–"
	case seconds < 59.95:
		return fmt.Sprintf("%.1f s", seconds)
	case s < 3600:
		return fmt.Sprintf("%d:%02d min", s/60, s%60)
	case s < day:
		return fmt.Sprintf("%d:%02d h", s/3600, s%3600/60)
	default:
		return fmt.Sprintf("%d d %d:%02d h", s/day, s%day/3600, s%3600/60)
	}
}

// dollars writes a price to the cent, or to two digits under ten cents.
func dollars(v float64) string {
	switch {
	case !drawable(v):
		return "–"
	case v != 0 && v < 0.1:
		return "$" + strconv.FormatFloat(v, 'f', 1-int(math.Floor(math.Log10(v))), 64)
	}
	return fmt.Sprintf("$%.2f", v)
}

// fixed writes v with so many decimals.
func fixed(v float64, decimals int) string {
	if !drawable(v) {
		return "–"
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

// percent writes a share, "–" where it is not known.
func percent(share float64) string {
	if !drawable(share) || share == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}
