package distill

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestEveryKeyIsDocumented looks for each key of a [teacher] table in docs/TRAINING.md.
func TestEveryKeyIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/TRAINING.md")
	if err != nil {
		t.Fatal(err)
	}
	for i := range reflect.TypeFor[Teacher]().NumField() {
		key := "`teacher." + reflect.TypeFor[Teacher]().Field(i).Tag.Get("toml") + "`"
		if !strings.Contains(string(text), key) {
			t.Errorf("docs/TRAINING.md does not say what %s is", key)
		}
	}
}

// TestRecipes reads the recipes of R1's pipeline.
func TestRecipes(t *testing.T) {
	for _, name := range []string{"sft", "distill"} {
		c, err := Load("../runs/r1/"+name+".toml", []string{"teacher.count=7", "train.steps=3"})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if c.Teacher.Count != 7 || c.Train.Steps != 3 {
			t.Errorf("%s: what was set isn't: %+v", name, c.Teacher)
		}
	}
	if _, err := Load("../runs/r1/sft.toml", []string{"teacher.cuont=7"}); err == nil || !strings.Contains(err.Error(), "cuont") {
		t.Errorf("an unknown key: %v", err)
	}
}
