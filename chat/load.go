package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"sprat/tokenizer"
)

// maxFile bounds the files that Load reads, in bytes.
const maxFile = 1 << 20

// Load returns the format of the model whose directory is given.
func Load(dir fs.FS, tok *tokenizer.Tokenizer) (*Format, error) {
	template, err := Template(dir)
	if err != nil {
		return nil, err
	}
	return New(tok, template), nil
}

// Template returns a model's template, in chat_template.jinja or tokenizer_config.json of its directory. Neither file must be there.
func Template(dir fs.FS) (string, error) {
	template, err := read(dir, "chat_template.jinja")
	if err != nil || template != nil {
		return string(template), err
	}
	const name = "tokenizer_config.json"
	text, err := read(dir, name)
	if err != nil || text == nil {
		return "", err
	}
	var config struct {
		Template json.RawMessage `json:"chat_template"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	var one string
	if json.Unmarshal(config.Template, &one) != nil {
		one = "" // several with names tell nothing
	}
	return one, nil
}

// read returns nil where there is no such file.
func read(dir fs.FS, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is longer than %d bytes", name, maxFile)
	}
	return text, err
}
