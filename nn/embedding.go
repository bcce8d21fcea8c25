package nn

import (
	"sprat/device"
	"sprat/tensor"
)

// Embedding is a table [vocab, D] of which a token takes its row.
type Embedding struct {
	W, G tensor.Mat
	dev  device.Device
}

// Embedding makes a table whose weight is the parameter name.
func (b *Builder) Embedding(name string, vocab, d int) Embedding {
	w, g := b.storage(vocab, d)
	b.view(name, w, g, 0, vocab)
	return Embedding{W: w, G: g, dev: b.Dev}
}

// Head is a Linear that shares the table: a tied output head.
func (e Embedding) Head(p device.Precision) Linear {
	return Linear{W: e.W, G: e.G, dev: e.dev, precision: p}
}

// Forward copies row ids[t] to x[t]; ids [T, 1] I32.
func (e Embedding) Forward(x, ids tensor.Mat) { e.dev.Embed(x, e.W, ids) }

// Backward adds dx[t] to the gradient of row ids[t].
func (e Embedding) Backward(dx, ids tensor.Mat) { e.dev.EmbedBackward(e.G, dx, ids) }
