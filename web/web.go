// Package web is the chat page: files built from src by Vite, embedded with a Brotli and a gzip form beside each. After a change to
// src, 'make web' builds them anew; a test tells when that was forgotten.
package web

import (
	"embed"
	"io/fs"
)

//go:embed dist
var dist embed.FS

// Files are index.html, what else lies at the top, and assets/, whose names carry a hash of what is in them.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the path is a constant
	}
	return files
}
