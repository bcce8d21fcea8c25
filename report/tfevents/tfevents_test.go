package tfevents

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestCRC holds the checksum to CRC-32C's check value and to those of RFC 3720, B.4.
func TestCRC(t *testing.T) {
	ascending := make([]byte, 32)
	for i := range ascending {
		ascending[i] = byte(i)
	}
	for text, want := range map[string]uint32{
		"123456789":                0xe3069283,
		string(make([]byte, 32)):   0x8a9136aa,
		strings.Repeat("\xff", 32): 0x62a8ab43,
		string(ascending):          0x46dd794e,
	} {
		if got := crc32.Checksum([]byte(text), castagnoli); got != want {
			t.Errorf("CRC-32C of %x is %08x, want %08x", text, got, want)
		}
		if got, want := maskedCRC([]byte(text)), (want>>15|want<<17)+0xa282ead8; got != want {
			t.Errorf("masked: %08x, want %08x", got, want)
		}
	}
}

// eventFile is what the writer makes of some calls at second 1234567890.
func eventFile(t *testing.T, write func(e *File)) []byte {
	t.Helper()
	dir := t.TempDir()
	e, err := create(dir, func() time.Time { return time.Unix(1234567890, 0) })
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	write(e)
	got, err := os.ReadFile(filepath.Join(dir, "events.out.tfevents.1234567890.sprat.0"))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestEventBytes spells the messages out by hand. The first twelve bytes are those that every event file of TensorFlow starts with.
func TestEventBytes(t *testing.T) {
	got := eventFile(t, func(e *File) {
		if err := e.Scalars(300, Scalar{"loss", 1.5}, Scalar{"a/b", -2}); err != nil {
			t.Fatal(err)
		}
		if err := e.Restart(7); err != nil {
			t.Fatal(err)
		}
	})
	const wall = "09 000080b48065d241" // field 1, 1234567890 as a double
	for i, want := range []string{
		"1800000000000000 a37f4b22" + wall + "1a 0d 627261696e2e4576656e743a32", // field 3: brain.Event:2
		"2700000000000000" + wall + "10 ac02" + // field 2: 300
			"2a 19" + // field 5: a summary of 25 bytes
			"0a 0b 0a 04 6c6f7373 15 0000c03f" + // a value of 11: loss, 1.5
			"0a 0a 0a 03 612f62 15 000000c0", // a value of 10: a/b, -2
		"0f00000000000000" + wall + "10 07 3a 02 08 01", // field 7: status START
	} {
		bytes, err := hex.DecodeString(strings.ReplaceAll(want, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		n := binary.LittleEndian.Uint64(got)
		record := got[:8+4+n+4]
		got = got[len(record):]
		unframed := append(append([]byte{}, record[:8]...), record[12:12+n]...)
		if i == 0 {
			unframed = record[:12+n]
		}
		if !reflect.DeepEqual(unframed, bytes) {
			t.Errorf("record %d is %x, want %x", i, unframed, bytes)
		}
		if sum := binary.LittleEndian.Uint32(record[8:]); sum != maskedCRC(record[:8]) {
			t.Errorf("record %d: checksum of the length %08x", i, sum)
		}
		if sum := binary.LittleEndian.Uint32(record[12+n:]); sum != maskedCRC(record[12:12+n]) {
			t.Errorf("record %d: checksum of the event %08x", i, sum)
		}
	}
	if len(got) != 0 {
		t.Errorf("%d bytes more than three records", len(got))
	}
}

// TestLongTags has a tag and a summary whose lengths take two bytes.
func TestLongTags(t *testing.T) {
	tag := strings.Repeat("t", 200)
	got := eventFile(t, func(e *File) {
		if err := e.Scalars(1, Scalar{tag, math.Pi}); err != nil {
			t.Fatal(err)
		}
	})
	got = got[8+4+24+4+8+4+9+2:] // the first record; framing, time and step of the second
	if !strings.HasPrefix(string(got), "\x2a\xd3\x01\x0a\xd0\x01\x0a\xc8\x01"+tag+"\x15\xdb\x0f\x49\x40") {
		t.Errorf("the summary is %x", got)
	}
}

func TestEventFilesDoNotCollide(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		f, err := Create(dir)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	files, _ := filepath.Glob(filepath.Join(dir, "events.out.tfevents.*"))
	if len(files) != 3 {
		t.Errorf("three sessions made %v", files)
	}
}
