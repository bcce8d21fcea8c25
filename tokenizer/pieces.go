package tokenizer

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// pieceTable finds the token of a piece that is one, which nearly all of a text's pieces are. Pieces up to 15 bytes have their
// bytes in an open-addressing hash table, so that one look at memory settles it; longer ones are in a map.
type pieceTable struct {
	slots []pieceSlot
	shift uint
	seed  pieceKey // so that no file can be made to collide
	long  map[string]int32
}

type pieceSlot struct {
	pieceKey
	id int32
}

// A pieceKey is a piece of 1 to 15 bytes and, in the highest byte, its length: never zero.
type pieceKey struct{ low, high uint64 }

const longPiece = 16

func makeKey(piece string) (k pieceKey) {
	var b [longPiece]byte
	copy(b[:], piece)
	b[longPiece-1] = byte(len(piece))
	return pieceKey{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])}
}

func newPieceTable(n int) pieceTable {
	log := max(4, bits.Len(uint(2*n)))
	return pieceTable{
		slots: make([]pieceSlot, 1<<log),
		shift: uint(64 - log),
		seed:  pieceKey{rand.Uint64(), rand.Uint64()},
		long:  map[string]int32{},
	}
}

// slot returns where k is, or the empty slot where it would go. The table is at most half full, so there is one.
func (t *pieceTable) slot(k pieceKey) *pieceSlot {
	high, low := bits.Mul64(k.low^t.seed.low, k.high^t.seed.high)
	i := (high ^ low) >> t.shift
	for {
		s := &t.slots[i]
		if s.pieceKey == k || s.high == 0 {
			return s
		}
		i = (i + 1) & uint64(len(t.slots)-1)
	}
}

func (t *pieceTable) set(piece string, id int32) {
	if len(piece) >= longPiece {
		t.long[piece] = id
		return
	}
	k := makeKey(piece)
	*t.slot(k) = pieceSlot{k, id}
}

func (t *pieceTable) find(piece string) (int32, bool) {
	if len(piece) >= longPiece {
		id, ok := t.long[piece]
		return id, ok
	}
	s := t.slot(makeKey(piece))
	return s.id, s.high != 0
}
