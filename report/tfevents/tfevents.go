// Package tfevents writes files of curves that TensorBoard opens: records in TFRecord's framing, each an Event message in protocol
// buffers' encoding (tensorflow/core/util/event.proto and framework/summary.proto). Of those messages it writes what scalars need:
//
//	Event      1 wall_time double, 2 step int64, 3 file_version string, 5 summary Summary, 7 session_log SessionLog
//	Summary    1 value, repeated Value
//	Value      1 tag string, 2 simple_value float
//	SessionLog 1 status: 1 is START, after which readers forget what they had from the event's step on
package tfevents

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"
)

// File is one session's curves. It belongs to one goroutine, and allocates nothing once warm.
type File struct {
	f       *os.File
	now     func() time.Time
	event   []byte
	summary []byte
	record  []byte
}

// Scalar is a point of the curve that Tag names.
type Scalar struct {
	Tag   string
	Value float64
}

// Create starts a new file in dir, named so that TensorBoard finds it and reads it after the earlier ones.
func Create(dir string) (*File, error) { return create(dir, time.Now) }

func create(dir string, now func() time.Time) (*File, error) {
	for i := 0; ; i++ {
		path := filepath.Join(dir, fmt.Sprintf("events.out.tfevents.%010d.sprat.%d", now().Unix(), i))
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) && i < 100 {
			continue
		}
		if err != nil {
			return nil, err
		}
		e := &File{f: f, now: now}
		e.begin(0)
		e.event = appendBytes(e.event, 3, "brain.Event:2")
		if err := e.write(); err != nil {
			f.Close()
			return nil, err
		}
		return e, nil
	}
}

// Scalars writes a point of each curve.
func (e *File) Scalars(step int, values ...Scalar) error {
	e.summary = e.summary[:0]
	for _, v := range values {
		const number = 5 // bytes: key and float
		size := 1 + uvarintLen(uint64(len(v.Tag))) + len(v.Tag) + number
		e.summary = append(e.summary, 1<<3|wireBytes)
		e.summary = binary.AppendUvarint(e.summary, uint64(size))
		e.summary = appendBytes(e.summary, 1, v.Tag)
		e.summary = append(e.summary, 2<<3|wire32)
		e.summary = binary.LittleEndian.AppendUint32(e.summary, math.Float32bits(float32(v.Value)))
	}
	e.begin(step)
	e.event = appendBytes(e.event, 5, e.summary)
	return e.write()
}

// Restart makes readers forget the points from step on.
func (e *File) Restart(step int) error {
	e.begin(step)
	e.event = appendBytes(e.event, 7, []byte{1<<3 | wireVarint, 1})
	return e.write()
}

// Sync waits until what was written is on the disk.
func (e *File) Sync() error { return e.f.Sync() }

// Close closes the file.
func (e *File) Close() error { return e.f.Close() }

// Wire types of protocol buffers.
const (
	wireVarint = 0
	wire64     = 1
	wireBytes  = 2
	wire32     = 5
)

// begin starts an event.
func (e *File) begin(step int) {
	t := e.now()
	e.event = append(e.event[:0], 1<<3|wire64)
	e.event = binary.LittleEndian.AppendUint64(e.event, math.Float64bits(float64(t.UnixMicro())/1e6))
	if step != 0 {
		e.event = append(e.event, 2<<3|wireVarint)
		e.event = binary.AppendUvarint(e.event, uint64(step))
	}
}

// write frames the event and writes it: length, checksum of the length, event, checksum of the event.
func (e *File) write() error {
	e.record = binary.LittleEndian.AppendUint64(e.record[:0], uint64(len(e.event)))
	e.record = binary.LittleEndian.AppendUint32(e.record, maskedCRC(e.record))
	e.record = append(e.record, e.event...)
	e.record = binary.LittleEndian.AppendUint32(e.record, maskedCRC(e.event))
	_, err := e.f.Write(e.record)
	return err
}

func appendBytes[T string | []byte](b []byte, field byte, v T) []byte {
	b = append(b, field<<3|wireBytes)
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC is TFRecord's checksum: CRC-32C turned by 15 bits, plus a constant, as checksums of checksums are weak.
func maskedCRC(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}
