package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Rows are what weights are multiplied with: rows of k numbers each, rounded as the weight's format wants it. For F32 they stay; for BF16
// and FP8 they are rounded to bfloat16; for the integers to -127 … 127, with a scale for each 32 of a row:
//
//	scale = amax/127    q = x·(127/amax), to nearest even
//
// A group that holds an infinity or a NaN gets the scale NaN. One below 2^-100 is zero.
type Rows struct {
	form   Format // F32, BF16 or Int8
	n, k   int
	stride int // bytes from a row to the next
	data   []byte
}

// A group of a row for the integers is a record: the 32 bytes, the scale, and as int32 what the sums of products with Int8 and with Int4
// begin with, as those weights are kept with 128 and 8 added: -128 and -8 times the sum of the bytes.
const (
	recordScale = intGroup
	recordInt8  = intGroup + 4
	recordInt4  = intGroup + 8
	intRecord   = intGroup + 12
)

// form is the form of rows that a format is multiplied with.
func (f Format) form() Format {
	switch f {
	case FormatFP8:
		return FormatBF16
	case FormatInt4:
		return FormatInt8
	}
	return f
}

// Reset makes space for n rows of k numbers, to be multiplied with weights in format f.
func (r *Rows) Reset(f Format, n, k int) {
	r.form, r.n, r.k = f.form(), n, k
	size := 0
	switch r.form {
	case FormatF32:
		size = 4 * k
	case FormatBF16:
		size = 2 * roundUp(k, 4) // FP8 takes 4 at a time
	default:
		size = intRecord * groupsOf(k, intGroup)
	}
	// An odd number of cache lines and an eighth: rows side by side are in different sets and different banks of the cache.
	r.stride = (groupsOf(size, wordBytes)|1)*wordBytes + wordBytes/8
	if cap(r.data) < n*r.stride {
		r.data = make([]byte, n*r.stride)
	}
	r.data = r.data[:n*r.stride]
}

// Fits tells whether the rows are in the form that format f is multiplied with.
func (r *Rows) Fits(f Format) bool { return r.form == f.form() }

// Set sets row i. Different rows may be set at once.
func (r *Rows) Set(i int, x []float32) {
	sameLength("a row", r.k, len(x))
	if i < 0 || i >= r.n {
		panic(fmt.Sprintf("kernel: row %d of %d", i, r.n))
	}
	to := r.data[i*r.stride : (i+1)*r.stride]
	switch r.form {
	case FormatF32:
		for i, v := range x {
			putFloat(to[4*i:], v)
		}
	case FormatBF16:
		for i := roundBlocks(to, x); i < r.k; i++ {
			putBF16(to[2*i:], x[i])
		}
		clear(to[2*r.k:])
	default:
		for g := quantiseBlocks(to, x); g*intGroup < r.k; g++ {
			quantiseGroup(to[g*intRecord:(g+1)*intRecord], x[g*intGroup:min((g+1)*intGroup, r.k)])
		}
	}
}

// tiniest is the largest magnitude below which a group counts as zero.
const tiniest = 1.0 / (1 << 50) / (1 << 50)

// quantiseGroup makes the record of a group.
func quantiseGroup(to []byte, x []float32) {
	amax := math.Float32frombits(absMax(x, 0))
	scale, inverse := amax/127, 127/amax
	switch {
	case amax < tiniest:
		scale, inverse = 0, 0
	case !(amax <= math.MaxFloat32):
		scale, inverse = float32(math.NaN()), 0
	}
	sum := int32(0)
	clear(to[len(x):intGroup])
	for i, v := range x {
		q := int32(0)
		if inverse > 0 {
			q = int32(float32(float32(v*inverse)+roundBig) - roundBig)
		}
		to[i] = uint8(q)
		sum += q
	}
	putFloat(to[recordScale:], scale)
	binary.LittleEndian.PutUint32(to[recordInt8:], uint32(-128*sum))
	binary.LittleEndian.PutUint32(to[recordInt4:], uint32(-8*sum))
}
