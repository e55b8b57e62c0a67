package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/flight"
)

// tool runs the program as somebody on call would, and returns what it prints.
func tool(t *testing.T, admin string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, pktsvc, append(args, "--admin", admin)...)
	cmd.Env, cmd.Stderr = []string{"HOME=" + t.TempDir()}, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pktsvc %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// requests are those that a tool prints.
func requests(t *testing.T, admin string, args ...string) []flight.Request {
	t.Helper()
	list, err := objects[flight.Request](tool(t, admin, append(args, "--json")...))
	if err != nil {
		t.Fatalf("pktsvc %s: %v", strings.Join(args, " "), err)
	}
	return list
}

// objects reads a JSON object a line.
func objects[T any](text string) (list []T, err error) {
	for dec := json.NewDecoder(strings.NewReader(text)); ; {
		var one T
		switch err := dec.Decode(&one); {
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return nil, fmt.Errorf("%w in %s", err, text)
		}
		list = append(list, one)
	}
}

// tap is a running pktsvc tap.
type tap struct{ *process }

// startTap watches requests of a service, and returns when those that end from now on are
// seen. The tool does not tell when that is, so it asks through a proxy that does.
func startTap(t *testing.T, admin string, match ...string) tap {
	t.Helper()
	watching := make(chan struct{}, 1)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: admin})
	proxy.FlushInterval = -1
	proxy.ModifyResponse = func(*http.Response) error { watching <- struct{}{}; return nil }
	between := httptest.NewServer(proxy)
	t.Cleanup(between.Close)
	args := append([]string{"tap", "--json", "--admin", strings.TrimPrefix(between.URL, "http://")}, match...)
	p := run(t, program{name: "tap", path: pktsvc, args: args})
	select {
	case <-watching:
	case <-p.done:
		t.Fatalf("tap has ended: %v\n%s", p.err, p.tail(5))
	case <-time.After(time.Minute):
		t.Fatal("tap does not ask for requests")
	}
	return tap{p}
}

// shown are the requests that it has shown so far.
func (p tap) shown() ([]flight.Request, error) {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return nil, err
	}
	return objects[flight.Request](string(text[:bytes.LastIndexByte(text, '\n')+1]))
}

// one waits for the one request that it shows.
func (p tap) one(t *testing.T) (q flight.Request) {
	t.Helper()
	eventually(t, time.Minute, "tap shows one request", func() error {
		list, err := p.shown()
		if err == nil && len(list) != 1 {
			err = fmt.Errorf("it shows %d", len(list))
		}
		if err == nil {
			q = list[0]
		}
		return err
	})
	return q
}
