package tokenizer

// A trie finds added tokens in text.
type trie struct {
	first [256]bool // bytes that a token begins with
	next  map[trieEdge]int32
	ids   []int32 // by node: the token that ends there, or -1
}

type trieEdge struct {
	node int32
	b    byte
}

func newTrie() *trie {
	return &trie{next: map[trieEdge]int32{}, ids: []int32{-1}}
}

func (t *trie) add(token string, id int32) {
	if token == "" {
		return
	}
	t.first[token[0]] = true
	node := int32(0)
	for i := range len(token) {
		edge := trieEdge{node, token[i]}
		to, ok := t.next[edge]
		if !ok {
			to = int32(len(t.ids))
			t.ids = append(t.ids, -1)
			t.next[edge] = to
		}
		node = to
	}
	t.ids[node] = id
}

// find returns the leftmost token in text, the longest of those that begin there, and its bounds; an id of -1 if there is none.
func (t *trie) find(text string) (start, end int, id int32) {
	if len(t.ids) == 1 {
		return len(text), len(text), -1
	}
	for start = range len(text) {
		if !t.first[text[start]] {
			continue
		}
		id, node := int32(-1), int32(0)
		for i := start; i < len(text); i++ {
			to, ok := t.next[trieEdge{node, text[i]}]
			if !ok {
				break
			}
			node = to
			if t.ids[node] >= 0 {
				id, end = t.ids[node], i+1
			}
		}
		if id >= 0 {
			return start, end, id
		}
	}
	return len(text), len(text), -1
}

// cut calls text for what lies between added tokens, and token for them, in order.
func (t *trie) cut(s string, text func(string), token func(int32)) {
	for s != "" {
		start, end, id := t.find(s)
		if start > 0 {
			text(s[:start])
		}
		if id >= 0 {
			token(id)
		}
		s = s[end:]
	}
}
