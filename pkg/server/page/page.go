// Package page is the page that the admin server shows to people: static files, embedded,
// which ask the other paths of the same server for what they show. They hold no data, and
// so need no token.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

// Prefix is the path below which the files are that the page is made of.
const Prefix = "/page/"

// ContentSecurityPolicy lets the page load what the same server embeds, ask the same
// server, and nothing else: were a text that a peer has chosen ever taken for markup, it
// could still not act.
const ContentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

//go:embed static
var embedded embed.FS

// document is what is shown at the root.
const document = "index.html"

// file is one of the embedded files.
type file struct {
	content []byte
	kind    string // media type
	tag     string // ETag
}

// Handler serves the page at / and its files below [Prefix], by GET and HEAD. Its methods
// may be called concurrently.
type Handler struct{ files map[string]file }

// NewHandler reads the embedded files.
func NewHandler() *Handler {
	h := &Handler{files: make(map[string]file)}
	static, err := fs.Sub(embedded, "static")
	if err == nil {
		err = fs.WalkDir(static, ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := fs.ReadFile(static, name)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(content)
			h.files[name] = file{content, kindOf(name), `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
			return nil
		})
	}
	if err != nil {
		panic(err) // they are a part of the program
	}
	return h
}

// kindOf does not ask the machine's own table, which may say anything of .js.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".html", ".css":
		return mime.TypeByExtension(path.Ext(name))
	}
	return "text/plain; charset=utf-8"
}

// ServeHTTP answers with a file, or that it has not changed.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := document
	if r.URL.Path != "/" {
		name = strings.TrimPrefix(r.URL.Path, Prefix)
	}
	f, ok := h.files[name]
	if !ok || name == document && r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	header := w.Header()
	header.Set("Content-Type", f.kind)
	header.Set("Content-Security-Policy", ContentSecurityPolicy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	// Asked for again each time, so that another build shows no mixture of both.
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", f.tag)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(f.content))
}
