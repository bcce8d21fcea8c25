package web

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
)

// mostFirstLoad is what may travel before the first question can be asked: the page, its scripts and its styles, as Brotli.
const mostFirstLoad = 120 << 10

func TestDistIsOfTheseSources(t *testing.T) {
	names := []string{"index.html", "package-lock.json", "vite.config.ts", "svelte.config.js", "compress.mjs"}
	for _, dir := range []string{"src", "public"} {
		err := fs.WalkDir(os.DirFS("."), dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				names = append(names, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(names)
	hash := sha256.New()
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(hash, "%s\x00%s\x00", name, content)
	}
	want, err := os.ReadFile("sources.sha256")
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != strings.TrimSpace(string(want)) {
		t.Errorf("dist was built from other sources than these: run 'make web' and commit what it writes")
	}
}

func TestCompressedFormsAreTheFiles(t *testing.T) {
	files := Files()
	checked := 0
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		ext := path.Ext(name)
		if err != nil || d.IsDir() || ext == ".woff2" || ext == ".br" || ext == ".gz" {
			return err
		}
		plain, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		for ext, open := range map[string]func(io.Reader) (io.Reader, error){
			".br": func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
			".gz": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		} {
			f, err := files.Open(name + ext)
			if err != nil {
				return err
			}
			defer f.Close()
			r, err := open(f)
			if err != nil {
				return fmt.Errorf("%s: %w", name+ext, err)
			}
			got, err := io.ReadAll(r)
			if err != nil || string(got) != string(plain) {
				t.Errorf("%s is not %s (%v)", name+ext, name, err)
			}
			checked++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 10 {
		t.Errorf("%d compressed forms found, expected at least 10", checked)
	}
}

func TestFirstLoadIsWithinItsBudget(t *testing.T) {
	files := Files()
	page, err := fs.ReadFile(files, "index.html")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	names := []string{"index.html"}
	for _, m := range regexp.MustCompile(`(?:src|href)="/([^"]+)"`).FindAllStringSubmatch(string(page), -1) {
		names = append(names, m[1])
	}
	for _, name := range names {
		info, err := fs.Stat(files, name+".br")
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%7d %s.br", info.Size(), name)
		total += int(info.Size())
	}
	t.Logf("%7d in all, %.1f KiB", total, float64(total)/1024)
	if len(names) < 4 {
		t.Errorf("only %v found: a script, a style sheet and more are expected", names)
	}
	if total > mostFirstLoad {
		t.Errorf("the first load is %d bytes, %d over its budget", total, total-mostFirstLoad)
	}
}

// The policy forbids what is inline: the page must not have any.
func TestPageHasNothingInline(t *testing.T) {
	page, err := fs.ReadFile(Files(), "index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{`<style`, ` style=`, `<script>`, `http:`, `https:`, ` onload=`} {
		if strings.Contains(string(page), bad) {
			t.Errorf("index.html contains %q", bad)
		}
	}
}
