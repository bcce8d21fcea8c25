package grpo

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestEveryKeyIsDocumented looks for each key of a run file in docs/RL.md.
func TestEveryKeyIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/RL.md")
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
			case f.Anonymous:
				walk(prefix, f.Type)
			case f.Type.Kind() == reflect.Struct:
				walk(key+".", f.Type)
			case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
				walk(key+".", f.Type.Elem())
			default:
				n++
				if !strings.Contains(string(text), "`"+key+"`") {
					t.Errorf("docs/RL.md does not say what %s is", key)
				}
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
	if n < 45 {
		t.Errorf("%d keys found: the walk misses some", n)
	}
}

// TestRecipes reads the recipes of R1's pipeline.
func TestRecipes(t *testing.T) {
	for _, name := range []string{"zero", "rl1", "rl2"} {
		if _, err := Load("../runs/r1/"+name+".toml", nil); err != nil {
			t.Error(err)
		}
	}
}
