package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Who observes the service can do it no harm: every request is answered, and the
// service ends in order.
func (l *ledger) goesOn(t *testing.T, name string, c *callers, meanwhile func()) {
	t.Helper()
	c.more(t, 2000, stream.OutcomeOK)
	meanwhile()
	c.more(t, 5000, stream.OutcomeOK)
	if by := c.stop(t, name, l); len(by) > 1 {
		t.Errorf("not all were answered: %v", by)
	}
	l.end(t, 0)
}

// Nobody takes the spans, or takes them slowly, or goes away.
func TestChaosTraceBackend(t *testing.T) {
	traced := func(addr string) program {
		return program{env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + addr, "OTEL_TRACES_SAMPLER=always_on", "OTEL_BSP_SCHEDULE_DELAY=100"}}
	}
	t.Run("absent", func(t *testing.T) {
		l := newLedger(t, traced(address(t)))
		l.goesOn(t, "TestChaosTraceBackend", callTo(t, new(callers), l), func() {})
	})
	t.Run("silent", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close() // connections wait to be accepted
		l := newLedger(t, traced(ln.Addr().String()))
		l.goesOn(t, "TestChaosTraceBackend", callTo(t, new(callers), l), func() {})
	})
	t.Run("dying", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		taken := make(chan struct{}, 1)
		backend := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			select {
			case taken <- struct{}{}:
			default:
			}
		})}
		go func() { _ = backend.Serve(ln) }()
		l := newLedger(t, traced(ln.Addr().String()))
		l.goesOn(t, "TestChaosTraceBackend", callTo(t, new(callers), l), func() {
			<-taken
			backend.Close()
		})
	})
}

// Scrapers ask for the metrics and read nothing. Others are still served.
func TestChaosScraper(t *testing.T) {
	l := newLedger(t, program{})
	c := callTo(t, new(callers), l)
	l.goesOn(t, "TestChaosScraper", c, func() {
		for range 60 {
			nc, err := net.Dial("tcp", l.admin)
			if err != nil {
				t.Error(err)
				continue
			}
			defer nc.Close()
			for range 100 { // pipelined: more than its socket takes
				if _, err := fmt.Fprintf(nc, "GET /metrics HTTP/1.1\r\nHost: %s\r\n\r\n", l.admin); err != nil {
					break
				}
			}
		}
		l.service.ready(t, l.service.url("/metrics"))
	})
}

var linesLost = regexp.MustCompile(`(?m)^pktsvc_log_lines_lost_total (\S+)$`)

// Nobody reads the log, or the one who did is gone, or the disk is full.
func TestChaosLog(t *testing.T) {
	pipe := func(t *testing.T) (r, w *os.File) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
		return r, w
	}
	for name, open := range map[string]func(t *testing.T) (log *os.File, meanwhile func()){
		"nobody reads": func(t *testing.T) (*os.File, func()) { _, w := pipe(t); return w, func() {} },
		"the reader goes away": func(t *testing.T) (*os.File, func()) {
			r, w := pipe(t)
			return w, func() { r.Close() }
		},
		"full disk": func(t *testing.T) (*os.File, func()) { return device(t, "/dev/full"), func() {} },
	} {
		t.Run(name, func(t *testing.T) {
			log, meanwhile := open(t)
			l := newLedger(t, program{log: log}, "--log-level", "debug")
			failing := callTo(t, &callers{typ: typeFail, from: 1 << 32}, l) // so that there is something to log
			l.goesOn(t, "TestChaosLog", callTo(t, new(callers), l), func() {
				meanwhile()
				failing.more(t, 20_000, stream.OutcomeRejected)
				eventually(t, time.Minute, "lines are lost", func() error {
					page, err := get(l.service.url("/metrics"))
					if err != nil {
						return err
					}
					match := linesLost.FindSubmatch(page)
					if match == nil {
						return fmt.Errorf("no line like %v", linesLost)
					}
					if n, err := strconv.ParseFloat(string(match[1]), 64); err != nil || n == 0 {
						return fmt.Errorf("%s lines are lost", match[1])
					}
					return nil
				})
				failing.halt()
				failing.running.Wait()
			})
		})
	}
}
