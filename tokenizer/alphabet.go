package tokenizer

// A tokenizer.json holds bytes as printable characters: GPT-2's alphabet maps a printable Latin-1 byte to itself and the
// other 68 bytes, in order, to U+0100 onwards.

var (
	byteToRune = makeAlphabet()
	runeToByte = invertAlphabet()
)

func makeAlphabet() (runes [256]rune) {
	next := rune(256)
	for b := range rune(256) {
		if b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE {
			runes[b] = b
			continue
		}
		runes[b] = next
		next++
	}
	return runes
}

// invertAlphabet returns, for each rune below 324, the byte it stands for, or -1.
func invertAlphabet() (bytes [256 + 68]int16) {
	for r := range bytes {
		bytes[r] = -1
	}
	for b, r := range byteToRune {
		bytes[r] = int16(b)
	}
	return bytes
}

// fromAlphabet returns the bytes that a vocabulary entry stands for, and false if a character is not of the alphabet.
func fromAlphabet(entry string) (string, bool) {
	bytes := make([]byte, 0, len(entry))
	for _, r := range entry {
		if int(r) >= len(runeToByte) || runeToByte[r] < 0 {
			return "", false
		}
		bytes = append(bytes, byte(runeToByte[r]))
	}
	return string(bytes), true
}
