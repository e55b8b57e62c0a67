package page_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/server/page"
)

func get(t *testing.T, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	page.NewHandler().ServeHTTP(w, r)
	return w
}

func TestFilesAreServed(t *testing.T) {
	for path, want := range map[string]struct{ kind, text string }{
		"/":                             {"text/html; charset=utf-8", `<script type="module" src="page/main.js">`},
		"/page/main.js":                 {"text/javascript; charset=utf-8", "import"},
		"/page/page.css":                {"text/css; charset=utf-8", "prefers-color-scheme: dark"},
		"/page/icon.svg":                {"image/svg+xml", "<svg"},
		"/page/uplot/uPlot.iife.min.js": {"text/javascript; charset=utf-8", "uPlot"},
		"/page/uplot/LICENSE":           {"text/plain; charset=utf-8", "The MIT License"},
	} {
		w := get(t, path)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != want.kind || !strings.Contains(w.Body.String(), want.text) {
			t.Errorf("%s: %d %s", path, w.Code, w.Header())
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": page.ContentSecurityPolicy, "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "no-referrer", "Cache-Control": "no-cache",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if w := get(t, path, "If-None-Match", w.Header().Get("ETag")); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
			t.Errorf("%s, once more: %d", path, w.Code)
		}
	}
	for _, path := range []string{"/page/", "/page/index.html", "/page/nothing.js", "/page/../page.go", "/page/uplot", "/page/uplot/", "/main.js"} {
		if w := get(t, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// static is every file that the page is made of, but the library.
func static(t *testing.T) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := fs.WalkDir(os.DirFS("static"), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Dir(name) == "uplot" {
			return err
		}
		text, err := os.ReadFile("static/" + name)
		files[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// What the policy forbids is not in the files either, nor is anything that takes text for
// markup.
func TestFilesKeepToThePolicy(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(|new Function|setAttribute\('style|localStorage|document\.cookie|<style| style=|<script>| on[a-z]+="|@import|url\(`)
	elsewhere := regexp.MustCompile(`(?:https?:)?//[a-z0-9]+\.[a-z0-9.]+`)
	for name, text := range static(t) {
		if found := forbidden.FindString(text); found != "" {
			t.Errorf("%s has %s", name, found)
		}
		for _, found := range elsewhere.FindAllString(text, -1) {
			if found != "http://www.w3.org" { // the namespace of SVG
				t.Errorf("%s names another server: %s", name, found)
			}
		}
	}
}

// Every file is used, and every file that is used is there.
func TestFilesAreThoseInUse(t *testing.T) {
	used := map[string]bool{"index.html": true}
	imported := regexp.MustCompile(`from '\./([a-z]+\.js)'`)
	link := regexp.MustCompile(`(?:href|src)="page/([^"]+)"`)
	files := static(t)
	for name, text := range files {
		for _, found := range append(imported.FindAllStringSubmatch(text, -1), link.FindAllStringSubmatch(text, -1)...) {
			used[found[1]] = true
			if w := get(t, page.Prefix+found[1]); w.Code != http.StatusOK {
				t.Errorf("%s wants %s, which is not there", name, found[1])
			}
		}
	}
	for name := range files {
		if !used[name] {
			t.Errorf("%s is not used", name)
		}
	}
}
