package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/pktsvc/pktsvc/pkg/server/page"
)

// root serves / and what the page needs: the page itself to browsers, and to all others,
// such as curl, the list of the paths.
type root struct {
	page  http.Handler
	pages pages
}

func (s root) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept")
		if wantsHTML(r) {
			s.page.ServeHTTP(w, r)
			return
		}
		s.pages.text(w)
	})
	mux.HandleFunc("GET /index", s.pages.index)
	mux.Handle("GET "+page.Prefix, s.page)
}

// wantsHTML says whether HTML is asked for by its name, as browsers do.
func wantsHTML(r *http.Request) bool {
	for _, accept := range r.Header.Values("Accept") {
		if strings.Contains(strings.ToLower(accept), "text/html") {
			return true
		}
	}
	return false
}

// index serves the list of the paths, as HTML or as text.
func (ps pages) index(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept")
	if !wantsHTML(r) {
		ps.text(w)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", page.ContentSecurityPolicy)
	fmt.Fprint(w, `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">`+
		`<title>pktsvc: all paths</title><link rel="icon" href="page/icon.svg"><link rel="stylesheet" href="page/page.css"><main><h1>All paths</h1><p><a href="./">The page</a></p><dl>`+"\n")
	for _, p := range ps {
		fmt.Fprintf(w, "<dt><a href=%q>%s</a><dd>%s\n", strings.TrimPrefix(p.path, "/"), p.path, p.about)
	}
	fmt.Fprint(w, "</dl></main></html>\n")
}

func (ps pages) text(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	width := 0
	for _, p := range ps {
		width = max(width, len(p.path))
	}
	for _, p := range ps {
		fmt.Fprintf(w, "%-*s  %s\n", width, p.path, p.about)
	}
}
