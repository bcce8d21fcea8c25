// Command asm writes ../kernel_amd64.s and ../stubs_amd64.go:
//
//	cd kernel/_asm && go run . -out ../kernel_amd64.s -stubs ../stubs_amd64.go -pkg kernel
package main

import . "github.com/mmcloughlin/avo/build"

func main() {
	ConstraintExpr("amd64")
	ConstraintExpr("!purego")
	tiles()
	packing()
	ceilings()
	exponentials()
	reductions()
	elementwise()
	weightTiles()
	Generate()
}
