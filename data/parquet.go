package data

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/parquet-go/parquet-go"
)

// readParquet yields the strings of the column named text. Rows without one are passed over.
func readParquet(f *os.File, yield func(string) bool) error {
	groups, column, err := openParquet(f)
	if err != nil {
		return err
	}
	for _, g := range groups {
		c := &columnReader{pages: g.ColumnChunks()[column].Pages(), values: make([]parquet.Value, 64)}
		if more, err := c.each(yield); err != nil || !more {
			return err
		}
	}
	return nil
}

func openParquet(f *os.File) (groups []parquet.RowGroup, column int, err error) {
	defer damaged(&err)
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	file, err := parquet.OpenFile(f, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, 0, err
	}
	leaf, ok := file.Schema().Lookup("text")
	if !ok || leaf.MaxRepetitionLevel > 0 || leaf.Node.Type().Kind() != parquet.ByteArray {
		return nil, 0, errors.New("it has no column of strings named text")
	}
	return file.RowGroups(), leaf.ColumnIndex, nil
}

// damaged makes an error of a panic: the library panics on some files.
func damaged(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("damaged: %v", r)
	}
}

// columnReader reads a column of one group of rows.
type columnReader struct {
	pages  parquet.Pages
	page   parquet.Page
	reader parquet.ValueReader // of the page; nil between two
	values []parquet.Value
}

// each passes the column's strings on to yield, and tells whether that wants more.
func (c *columnReader) each(yield func(string) bool) (more bool, err error) {
	defer c.pages.Close()
	for {
		texts, err := c.next()
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		for _, text := range texts {
			if !yield(text) {
				return false, nil
			}
		}
	}
}

// next returns some of the column's strings; io.EOF after the last.
func (c *columnReader) next() (texts []string, err error) {
	defer damaged(&err)
	if c.reader == nil {
		if c.page, err = c.pages.ReadPage(); err != nil {
			return nil, err
		}
		c.reader = c.page.Values()
	}
	n, err := c.reader.ReadValues(c.values)
	for _, v := range c.values[:n] {
		texts = append(texts, string(v.ByteArray()))
	}
	switch {
	case err == io.EOF:
		parquet.Release(c.page)
		c.reader, err = nil, nil
	case err == nil && n == 0:
		err = io.ErrNoProgress
	}
	return texts, err
}
