//go:build !amd64 || purego

package kernel

// Without assembly the functions of vec.go do everything.

func expBlocks(dst, src []float32, scale, shift float32) int                { return 0 }
func sigmoidBlocks(dst, src []float32) int                                  { return 0 }
func ropeBlocks(x, cos, sin []float32, inverse bool) int                    { return 0 }
func expSumBlocks(x []float32, l *[lanes]float32, scale, shift float32) int { return 0 }
func softmaxBackwardBlocks(p, dp []float32, scale, lse, mean float32) int   { return 0 }
func scoreGradientBlocks(dp, p []float32, scale, mean float32) int          { return 0 }
func swigluBlocks(y, gate, up []float32, scale float32) int                 { return 0 }
func swigluBackwardBlocks(dGate, dUp, dy, gate, up []float32, l *[lanes]float32, scale float32) int {
	return 0
}
func maxBlocks(x []float32) (int, float32)                              { return 0, x[0] }
func sumBlocks(l *[lanes]float32, x []float32) int                      { return 0 }
func sumAtLeastBlocks(l *[lanes]float32, x []float32, cut float32) int  { return 0 }
func dotBlocks(l *[lanes]float32, a, b []float32) int                   { return 0 }
func dot3Blocks(l *[lanes]float32, a, b, c []float32) int               { return 0 }
func axpyBlocks(y []float32, alpha float32, x []float32) int            { return 0 }
func scaleBlocks(x []float32, alpha float32) int                        { return 0 }
func mulScaleBlocks(y, x, w []float32, alpha float32) int               { return 0 }
func rmsBackwardBlocks(dx, dw, dy, x, w []float32, rstd, c float32) int { return 0 }
func adamwBlocks(w, m, v, g []float32, h *AdamWStep) int                { return 0 }

func absMaxBlocks(x []float32, most uint32) (int, uint32)   { return 0, most }
func absMaxesBlocks(most, x []float32) int                  { return 0 }
func roundE4M3Blocks(dst, src []float32, scale float32) int { return 0 }
func roundE4M3ByBlocks(dst, src, scale []float32) int       { return 0 }

func quantiseBlocks(to []byte, x []float32) int { return 0 }
func roundBlocks(to []byte, x []float32) int    { return 0 }
func bestScale(x, weight []float32, tries *[lanes]float32, amax, low, high float32) float32 {
	return bestScalePortable(x, weight, tries, amax, low, high)
}
func roundIntBlocks(q []int8, x []float32, inverse, low, high float32) int { return 0 }
