package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
)

// A component is a normalizer, pre-tokenizer or decoder of a tokenizer.json, or a Sequence of them.
type component struct {
	Type          string      `json:"type"`
	Normalizers   []component `json:"normalizers"`
	PreTokenizers []component `json:"pretokenizers"`

	Pattern struct {
		Regex  *string
		String *string
	} `json:"pattern"`
	Behavior string `json:"behavior"`
	Invert   bool   `json:"invert"`

	IndividualDigits bool  `json:"individual_digits"`
	AddPrefixSpace   *bool `json:"add_prefix_space"`
	UseRegex         *bool `json:"use_regex"`
}

// maxComponents bounds the steps of a file: each goes over all the text.
const maxComponents = 64

// parseComponent reads a section, nil if it is absent or null.
func parseComponent(name string, raw json.RawMessage) (*component, error) {
	var c *component
	if len(raw) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// parseNormalizer says whether the text is brought to Unicode's form NFC.
func parseNormalizer(raw json.RawMessage) (nfc bool, err error) {
	c, err := parseComponent("normalizer", raw)
	if c == nil {
		return false, err
	}
	steps := []component{*c}
	if c.Type == "Sequence" {
		steps = c.Normalizers
	}
	for _, step := range steps {
		if step.Type != "NFC" {
			return false, fmt.Errorf("normalizer %q is not supported, only NFC", step.Type)
		}
		nfc = true
	}
	return nfc, nil
}

// parsePreTokenizer makes the steps that cut the text. The last must be ByteLevel.
func parsePreTokenizer(raw json.RawMessage) (splitters, error) {
	c, err := parseComponent("pre_tokenizer", raw)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, errors.New("there is no pre_tokenizer: this is no byte-level BPE")
	}
	steps := []component{*c}
	if c.Type == "Sequence" {
		steps = c.PreTokenizers
	}
	if n := len(steps); n > maxComponents || n == 0 || steps[n-1].Type != "ByteLevel" {
		return nil, fmt.Errorf("pre_tokenizer has %d steps: it wants 1 to %d, the last ByteLevel", n, maxComponents)
	}
	var all splitters
	for i, step := range steps {
		s, err := step.splitter(i == len(steps)-1)
		if err != nil {
			return nil, fmt.Errorf("pre_tokenizer: %w", err)
		}
		if s != nil {
			all = append(all, s)
		}
	}
	return all, nil
}

// splitter returns the splitter of a pre-tokenizer, nil if it does not split.
func (c *component) splitter(last bool) (splitter, error) {
	switch {
	case c.Type == "ByteLevel" && last:
		if c.AddPrefixSpace == nil || *c.AddPrefixSpace {
			return nil, errors.New("add_prefix_space is not supported")
		}
		if c.UseRegex == nil || *c.UseRegex {
			return newSplitter(patternGPT2)
		}
		return nil, nil
	case c.Type == "Digits" && c.IndividualDigits:
		return newSplitter(patternNumber)
	case c.Type == "Digits":
		return newSplitter(patternNumbers)
	case c.Type != "Split":
		return nil, fmt.Errorf("%q is not supported here", c.Type)
	case c.Behavior != "Isolated" || c.Invert:
		return nil, fmt.Errorf("splitting with behavior %q, invert %t is not supported, only Isolated", c.Behavior, c.Invert)
	case c.Pattern.Regex != nil:
		return newSplitter(*c.Pattern.Regex)
	case c.Pattern.String != nil:
		return literal(*c.Pattern.String), nil
	}
	return nil, errors.New("a Split has no pattern")
}

func checkDecoder(raw json.RawMessage) error {
	c, err := parseComponent("decoder", raw)
	if err != nil {
		return err
	}
	if c != nil && c.Type != "ByteLevel" {
		return fmt.Errorf("decoder %q is not supported, only ByteLevel", c.Type)
	}
	return nil
}
