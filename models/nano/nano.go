// Package nano is the model inside the program: a Hugging Face directory, embedded. Only cmd/sprat imports it.
package nano

import (
	"embed"
	"io/fs"
)

//go:embed config.json generation_config.json tokenizer.json tokenizer_config.json model.safetensors sprat.json README.md
var files embed.FS

// Files is the directory.
func Files() fs.FS { return files }
