package tokenizer

// Tokens of DeepSeek-V3 and R1 with a meaning of their own, in their spelling.
const (
	BOS = "<｜begin▁of▁sentence｜>"
	EOS = "<｜end▁of▁sentence｜>" // ends a document, and the assistant's turn
	Pad = "<｜▁pad▁｜>"

	// Fill in the middle: FIMBegin prefix FIMHole suffix FIMEnd middle.
	FIMBegin = "<｜fim▁begin｜>"
	FIMHole  = "<｜fim▁hole｜>"
	FIMEnd   = "<｜fim▁end｜>"

	User      = "<｜User｜>"
	Assistant = "<｜Assistant｜>"
	Think     = "<think>" // between these two is reasoning
	EndThink  = "</think>"
)
