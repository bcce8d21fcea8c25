package device

import "sprat/tensor"

// Format is how a Weight keeps its elements.
type Format uint8

const (
	FormatF32  Format = iota
	FormatBF16        // bfloat16
	FormatFP8         // E4M3 with a float32 scale for each 128 x 128 block, as DeepSeek-V3 is published
	FormatInt8        // -127 … 127, and -128 where quantised elsewhere, with a bfloat16 scale for each GroupSize elements along k
	FormatInt4        // -8 … 7, likewise
)

// GroupSize is how many consecutive k's of a row share a scale in FormatInt8 and FormatInt4. The last group of a row may be shorter.
const GroupSize = 32

// BlockSize is the edge of a block in FormatFP8.
const BlockSize = 128

// Weight is a stack of matrices [n, k] of one shape, laid out by the device for the products of inference: for a linear layer one,
// for experts one each, for the halves of kv_b_proj one a head. Rows are outputs.
type Weight interface {
	Shape() (parts, n, k int)
	Format() Format
	Bytes() int64 // of memory
}

// Values are rows of a matrix on the host, as FillWeight takes them. One of F32, Int and E4M3 is set.
type Values struct {
	Rows, Cols int
	F32        []float32 // [Rows, Cols] numbers, rounded to the weight's format by FillWeight
	Int        []int8    // [Rows, Cols] quantised beforehand, for FormatInt8 and FormatInt4
	E4M3       []byte    // [Rows, Cols] likewise, for FormatFP8
	Scale      []float32 // of Int [Rows, ⌈Cols/GroupSize⌉], exact in bfloat16; of E4M3 [⌈Rows/BlockSize⌉, ⌈Cols/BlockSize⌉]
}

// PageFormat is how pages keep latents.
type PageFormat uint8

const (
	PagesBF16 PageFormat = iota
	PagesF32
	PagesFP8 // cKV in E4M3 with a scale for each 128 numbers of a row, kR in bfloat16
)

// Pages is the memory of a context cache (package latent keeps its books): in every layer so many pages of so many rows
// [cKV | kR].
type Pages interface {
	Bytes() int64
}

// PagesShape says how much a Pages holds.
type PagesShape struct {
	Layers, Pages, Rows int // Rows of a page
	C, R                int // numbers of a row
	Format              PageFormat
}

// Context is one sequence's part of a step: rows [First, First+Rows) of the step's matrices are its tokens at positions Past,
// Past+1, …, whose latents lie, like those of the tokens before, in row p % PagesShape.Rows of page Table[p / PagesShape.Rows].
type Context struct {
	First, Rows, Past int
	Table             []int32
}

// Inference is a Device that also runs models as a service does: products with weights in compact formats, and attention over the
// pages of a context cache. The rules of package device hold.
type Inference interface {
	Device

	NewWeight(parts, n, k int, f Format) Weight
	// FillWeight sets rows [row, row+v.Rows) of a part. Numbers are rounded to nearest; for the integer formats each group gets the
	// scale, of those near the ordinary one, with the least squared error.
	// Several goroutines may fill different rows at once.
	FillWeight(w Weight, part, row int, v Values)
	// ReadWeight is FillWeight's inverse: the numbers [rows, k] that the products see.
	ReadWeight(dst []float32, w Weight, part, row, rows int)

	// Project computes y [T, n] = x [T, k]·wᵀ, or adds it to y. x is rounded to bfloat16 for FormatBF16 and FormatFP8; for the
	// integer formats to int8, with a scale for each GroupSize elements of a row (amax/127); for FormatF32 it isn't.
	// Sums are int32 within a group and float32 across groups, k ascending.
	Project(y, x tensor.Mat, w Weight, add bool)
	// ProjectEach is Project of parts side by side: part h computes columns [h·n, (h+1)·n) of y from the k columns of x that begin
	// at h·stride + offset.
	ProjectEach(y, x tensor.Mat, w Weight, stride, offset int)
	// LookUp copies row ids[t] of part 0 to x[t]; ids [T, 1] I32 are in range.
	LookUp(x tensor.Mat, w Weight, ids tensor.Mat)
	// MixExperts is Experts with weights gateUp (E parts [2F, D]) and down (E parts [D, F]), and with the shared expert in the same
	// operation: it adds Σ_k weight_k·down_e(silu(gate_e(x)) ⊙ up_e(x)) + shared(x) to y. sharedGateUp [2S, D] and sharedDown [D, S]
	// may be nil. Only the experts chosen are read.
	MixExperts(y, x tensor.Mat, gateUp, down, sharedGateUp, sharedDown Weight, r Routing)

	NewPages(s PagesShape) Pages
	// StoreLatents writes rows [cKV | kR] of the step, T in all, to the contexts' pages of a layer, rounded to their format.
	StoreLatents(p Pages, layer int, cKV, kR tensor.Mat, contexts []Context)
	// CopyPage copies the first rows of page from to page to, in every layer.
	CopyPage(p Pages, from, to, rows int)
	// PagedLatentAttention is causal attention over latents, which all heads share, for the rows of the contexts; others' are left as
	// they are:
	//   score = (qC·cKV + q_rope·kR)·scale;   oC [T, H·C] = Σ p·cKV. A row sees the tokens of its sequence up to its own. R may be 0.
	// The products are in h.Precision. A page that several contexts share is read once for all of them.
	PagedLatentAttention(oC, qC, q tensor.Mat, p Pages, layer int, contexts []Context, h Heads)
	// PagedAttention is Attention over pages: keys and values are made from the latents a block at a time, by wUK (H parts
	// [C, N]: W_UKᵀ, as the absorbed form needs it) and wUV (H parts [V, C]), and the matrix of scores never exists whole.
	// The products are in h.Precision, weights being read as ReadWeight gives them.
	PagedAttention(o, q tensor.Mat, p Pages, layer int, wUK, wUV Weight, contexts []Context, h Heads)
}
