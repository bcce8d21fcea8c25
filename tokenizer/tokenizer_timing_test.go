package tokenizer

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// corpus returns about n bytes of documents in English.
func corpus(b *testing.B, n int) []string {
	b.Helper()
	f, err := os.Open(shared(b, "data/corpus/enwiki_easy_ccbysa.train.jsonl.zst"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f, zstd.WithDecoderMaxWindow(1<<27))
	if err != nil {
		b.Fatal(err)
	}
	defer z.Close()
	var docs []string
	in := bufio.NewScanner(z)
	in.Buffer(nil, 1<<26)
	for n > 0 && in.Scan() {
		var doc struct{ Text string }
		if err := json.Unmarshal(in.Bytes(), &doc); err != nil {
			b.Fatal(err)
		}
		docs = append(docs, doc.Text)
		n -= len(doc.Text)
	}
	if n > 0 {
		b.Fatalf("the corpus is short by %d bytes: %v", n, in.Err())
	}
	return docs
}

// BenchmarkEncode encodes 8 MB of English on one core: with -benchtime 1x the first time that the tokenizer sees it.
func BenchmarkEncode(b *testing.B) {
	docs := corpus(b, 8<<20)
	size := 0
	for _, doc := range docs {
		size += len(doc)
	}
	for _, name := range []string{"deepseek-v3", "qwen3"} {
		b.Run(name, func(b *testing.B) {
			tok, err := Load(shared(b, "tokenizers/"+name+"/tokenizer.json"))
			if err != nil {
				b.Fatal(err)
			}
			var ids []int32
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				for _, doc := range docs {
					ids = tok.Encode(ids[:0], doc)
				}
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	path := shared(b, "tokenizers/deepseek-v3/tokenizer.json")
	for b.Loop() {
		if _, err := Load(path); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTrain(b *testing.B) {
	docs := corpus(b, 100<<20)
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers-%d", workers), func(b *testing.B) {
			b.SetBytes(100 << 20)
			for b.Loop() {
				if _, err := Train(slices.Values(docs), TrainOptions{VocabSize: 32 << 10, Workers: workers}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
