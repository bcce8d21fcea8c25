// Package runfile reads run files: TOML whose keys are the fields of a struct, any of which a command line may set anew.
package runfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Decode reads TOML into what into points to. A key that it has no field for is an error.
func Decode(text []byte, into any) error {
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		return fmt.Errorf("unknown key %s", strings.Join(unknown.Errors[0].Key(), "."))
	}
	var syntax *toml.DecodeError
	if errors.As(err, &syntax) {
		line, _ := syntax.Position()
		return fmt.Errorf("line %d: %w", line, syntax)
	}
	return err
}

// Cut takes apart "key=value", the key dotted.
func Cut(assignment string) (key, value string, err error) {
	key, value, ok := strings.Cut(assignment, "=")
	if !ok || key == "" || strings.ContainsAny(assignment, "\n\r") {
		return "", "", fmt.Errorf("--set %q: want key=value, as in train.steps=100", assignment)
	}
	return key, value, nil
}

// Set sets a key of what into points to, the value as in TOML; one that is no TOML counts as a string.
func Set(into any, key, value string) error {
	err := Decode([]byte(key+" = "+value), into)
	var syntax *toml.DecodeError
	if errors.As(err, &syntax) {
		err = Decode([]byte(key+" = "+quote(value)), into)
	}
	return err
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string always marshals
	return string(b)
}

// Difference names the first key that two run files differ in, with both values; "" is no difference.
func Difference(here, there string) string {
	a, b := map[string]any{}, map[string]any{}
	if toml.Unmarshal([]byte(here), &a) != nil || toml.Unmarshal([]byte(there), &b) != nil {
		return "its run file cannot be read"
	}
	flatA, flatB := flatten(map[string]any{}, "", a), flatten(map[string]any{}, "", b)
	keys := maps.Clone(flatA)
	maps.Copy(keys, flatB)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if x, y := fmt.Sprint(flatA[key]), fmt.Sprint(flatB[key]); x != y {
			return fmt.Sprintf("%s is %s in the run file and %s", key, x, y)
		}
	}
	return ""
}

// flatten puts the leaves of nested tables into to, under dotted keys.
func flatten(to map[string]any, prefix string, table map[string]any) map[string]any {
	for key, v := range table {
		if inner, ok := v.(map[string]any); ok {
			flatten(to, prefix+key+".", inner)
			continue
		}
		to[prefix+key] = v
	}
	return to
}

// AtLeast says what is wrong with the number of a key, if anything.
func AtLeast(key string, value, low float64) error {
	if !(value >= low) || value > 1e9 {
		return fmt.Errorf("%s is %g: want a number from %g", key, value, low)
	}
	return nil
}

// OneOf says what is wrong with the word of a key, if anything.
func OneOf[T any](key, value string, words map[string]T) error {
	if _, ok := words[value]; !ok {
		return fmt.Errorf("%s is %q: want one of %s", key, value, strings.Join(slices.Sorted(maps.Keys(words)), ", "))
	}
	return nil
}
