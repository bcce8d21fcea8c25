package train

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestEveryKeyIsDocumented looks for each key of a run file in docs/TRAINING.md.
func TestEveryKeyIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/TRAINING.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var walk func(prefix string, v reflect.Type)
	walk = func(prefix string, v reflect.Type) {
		for i := range v.NumField() {
			f := v.Field(i)
			key := prefix + f.Tag.Get("toml")
			switch {
			case key == "model", f.Tag.Get("toml") == "-":
			case f.Type.Kind() == reflect.Struct:
				walk(key+".", f.Type)
			case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
				walk("", f.Type.Elem()) // keys of a table that is there several times
			default:
				n++
				if !strings.Contains(string(text), "`"+key+"`") {
					t.Errorf("docs/TRAINING.md does not say what %s is", key)
				}
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
	if n < 40 {
		t.Errorf("%d keys found: the walk misses some", n)
	}
}

// TestRecipes reads the recipes of fine-tuning in R1's pipeline.
func TestRecipes(t *testing.T) {
	for _, name := range []string{"cold", "rl1-sft"} {
		c := SFTDefaults()
		if err := c.Load("../runs/r1/"+name+".toml", nil); err != nil {
			t.Error(err)
		}
	}
}
