// Package kernel is the arithmetic: matrix products and functions of vectors, on plain slices.
//
// Every fast body has a portable one beside it, which is always compiled and is the definition; tests run each that the
// processor can run against it, in one run. Active says which is in use.
//
// Products are batch-invariant: each output has one accumulator, k ascends, and tiles and threads never split a sum. So a row's
// result depends neither on the other rows nor on the number of workers, bit for bit. Between implementations the bits
// differ, as some fuse multiplication and addition; those of products with weights of integers are the same.
//
// Training multiplies matrices as they are: Pool.Gemm. Inference multiplies Rows with Weights, which are kept in a compact format:
// Pool.Multiply.
//
// Sizes are checked, and a wrong one panics with the sizes: it is a bug of the caller.
package kernel
