package metrics

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Every metric after real traffic of both roles.
func TestValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clientSide, clientReg := mustNew(t, Options{Types: typeNames})
		serverSide, serverReg := mustNew(t, Options{Types: typeNames})
		release := make(chan struct{})
		p := connect(t,
			stream.Options{Observer: clientSide, Channels: map[uint64]stream.Handler{5: nil}},
			stream.Options{Observer: serverSide, Handler: testMux(release), MaxHandlers: 2})
		ctx := t.Context()
		for range 3 {
			_ = p.ask(ctx, stream.Request{Type: typeEcho, Payload: make([]byte, 10)})
		}
		_ = p.ask(ctx, stream.Request{Type: typeFail})
		_ = p.ask(ctx, stream.Request{Type: typePanic})
		_ = p.ask(ctx, stream.Request{Type: typeRefuse})
		_ = p.ask(ctx, stream.Request{Type: 99})
		_ = p.ask(ctx, stream.Request{Type: typeEcho, Channel: 5}) // which the server has not opened
		_ = p.ask(ctx, stream.Request{Type: typeEcho, Channel: 6}) // nor has the client
		expiring, cancel := context.WithTimeout(ctx, time.Second)
		_ = p.ask(expiring, stream.Request{Type: typeWait}) // takes the first handler
		cancel()
		pending, err := p.client.Submit(ctx, stream.Request{Type: typeWait}) // the second
		if err != nil {
			t.Fatal(err)
		}
		queued, err := p.client.Submit(ctx, stream.Request{Type: typeEcho, Payload: make([]byte, 7)}) // waits for one
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()

		client := map[string]float64{
			`payload_bytes_total{payload="request",role="client",type="Echo"}`:    30,
			`payload_bytes_total{payload="response",role="client",type="Echo"}`:   47, // unknown channel 5
			`payload_bytes_total{payload="response",role="client",type="Fail"}`:   24, // exception during handler
			`payload_bytes_total{payload="response",role="client",type="Panic"}`:  24,
			`payload_bytes_total{payload="response",role="client",type="other"}`:  24,
			`payload_bytes_total{payload="response",role="client",type="Refuse"}`: 2,
			`requests_total{outcome="ok",role="client",type="Echo"}`:              3,
			`requests_total{outcome="rejected",role="client",type="Echo"}`:        1,
			`requests_total{outcome="refused",role="client",type="Echo"}`:         1,
			`requests_total{outcome="rejected",role="client",type="Fail"}`:        1,
			`requests_total{outcome="rejected",role="client",type="Panic"}`:       1,
			`requests_total{outcome="rejected",role="client",type="Refuse"}`:      1,
			`requests_total{outcome="rejected",role="client",type="other"}`:       1,
			`requests_total{outcome="deadline",role="client",type="Wait"}`:        1,
			`request_duration_seconds{role="client",type="Echo"}`:                 5,
			`request_duration_seconds{role="client",type="Fail"}`:                 1,
			`request_duration_seconds{role="client",type="Panic"}`:                1,
			`request_duration_seconds{role="client",type="Refuse"}`:               1,
			`request_duration_seconds{role="client",type="other"}`:                1,
			`request_duration_seconds{role="client",type="Wait"}`:                 1,
			`requests_in_flight{role="client"}`:                                   3, // the expired one too
			`connections_opened_total{}`:                                          1,
			`connections_open{}`:                                                  1,
			`packets_total{direction="sent"}`:                                     11,
			`packets_total{direction="received"}`:                                 8,
			`packet_bytes_total{direction="sent"}`:                                float64(p.wire.wrote.Load()),
			`packet_bytes_total{direction="received"}`:                            float64(p.wire.read.Load()),
		}
		want(t, clientReg, client)
		server := map[string]float64{
			`payload_bytes_total{payload="request",role="server",type="Echo"}`:    30,
			`payload_bytes_total{payload="response",role="server",type="Echo"}`:   30,
			`payload_bytes_total{payload="response",role="server",type="Fail"}`:   24, // exception during handler
			`payload_bytes_total{payload="response",role="server",type="Panic"}`:  24,
			`payload_bytes_total{payload="response",role="server",type="other"}`:  24,
			`payload_bytes_total{payload="response",role="server",type="Refuse"}`: 2,
			`requests_total{outcome="ok",role="server",type="Echo"}`:              3,
			`requests_total{outcome="rejected",role="server",type="Echo"}`:        1,
			`requests_total{outcome="rejected",role="server",type="Fail"}`:        1,
			`requests_total{outcome="rejected",role="server",type="Panic"}`:       1,
			`requests_total{outcome="rejected",role="server",type="Refuse"}`:      1,
			`requests_total{outcome="rejected",role="server",type="other"}`:       1,
			`request_duration_seconds{role="server",type="Echo"}`:                 3, // rejected before it began: none
			`request_duration_seconds{role="server",type="Fail"}`:                 1,
			`request_duration_seconds{role="server",type="Panic"}`:                1,
			`request_duration_seconds{role="server",type="Refuse"}`:               1,
			`request_duration_seconds{role="server",type="other"}`:                1,
			`requests_rejected_total{reason="handler_error",type="Fail"}`:         1,
			`requests_rejected_total{reason="declined",type="Refuse"}`:            1,
			`requests_rejected_total{reason="panic",type="Panic"}`:                1,
			`requests_rejected_total{reason="unknown_type",type="other"}`:         1,
			`requests_rejected_total{reason="unknown_channel",type="Echo"}`:       1,
			`handler_panics_total{}`:                   1,
			`requests_in_flight{role="server"}`:        3,
			`requests_queued{}`:                        1,
			`request_payload_bytes{}`:                  7,
			`connections_opened_total{}`:               1,
			`connections_open{}`:                       1,
			`packets_total{direction="received"}`:      11,
			`packets_total{direction="sent"}`:          8,
			`packet_bytes_total{direction="received"}`: float64(p.wire.wrote.Load()),
			`packet_bytes_total{direction="sent"}`:     float64(p.wire.read.Load()),
		}
		want(t, serverReg, server)

		close(release) // the late answer, and two that are waited for
		for _, c := range []*stream.Call{pending, queued} {
			if _, err := c.Wait(ctx); err != nil {
				t.Fatal(err)
			}
		}
		go p.server.Shutdown(ctx)
		if err := p.client.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		change := func(m map[string]float64, to map[string]float64) {
			for name, value := range to {
				m[name] = value
			}
		}
		change(client, map[string]float64{
			`payload_bytes_total{payload="request",role="client",type="Echo"}`:  37,
			`payload_bytes_total{payload="response",role="client",type="Echo"}`: 54,
			`requests_total{outcome="ok",role="client",type="Echo"}`:            4,
			`requests_total{outcome="ok",role="client",type="Wait"}`:            1,
			`request_duration_seconds{role="client",type="Echo"}`:               6,
			`request_duration_seconds{role="client",type="Wait"}`:               2,
			`responses_dropped_total{reason="late"}`:                            1,
			`requests_in_flight{role="client"}`:                                 0,
			`connections_open{}`:                                                0,
			`connections_closed_total{reason="shutdown"}`:                       1,
			`packets_total{direction="sent"}`:                                   13, // with ERQ and EOF
			`packets_total{direction="received"}`:                               13,
			`packet_bytes_total{direction="sent"}`:                              float64(p.wire.wrote.Load()),
			`packet_bytes_total{direction="received"}`:                          float64(p.wire.read.Load()),
		})
		want(t, clientReg, client)
		change(server, map[string]float64{
			`payload_bytes_total{payload="request",role="server",type="Echo"}`:       37,
			`payload_bytes_total{payload="response",role="server",type="Echo"}`:      37,
			`requests_total{outcome="ok",role="server",type="Echo"}`:                 4,
			`requests_total{outcome="ok",role="server",type="Wait"}`:                 2,
			`request_duration_seconds{role="server",type="Echo"}`:                    4,
			`request_duration_seconds{role="server",type="Wait"}`:                    2,
			`request_stage_seconds_total{role="server",stage="handler",type="Wait"}`: 1,
			`requests_in_flight{role="server"}`:                                      0,
			`requests_queued{}`:                                                      0,
			`request_payload_bytes{}`:                                                0,
			`connections_open{}`:                                                     0,
			`connections_closed_total{reason="shutdown"}`:                            1,
			`packets_total{direction="sent"}`:                                        13,
			`packets_total{direction="received"}`:                                    13,
			`packet_bytes_total{direction="sent"}`:                                   float64(p.wire.read.Load()),
			`packet_bytes_total{direction="received"}`:                               float64(p.wire.wrote.Load()),
		})
		want(t, serverReg, server)
	})
}

// A response that answers nothing, a stream that ends inside a packet, bytes
// that wait to be sent, and requests that are never answered.
func TestValuesOfBrokenPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, reg := mustNew(t, Options{Types: typeNames})
		mine, peers := net.Pipe()
		release := make(chan struct{})
		c, err := stream.NewConn(mine, stream.Options{Observer: m, Handler: testMux(release)})
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := stream.Packet{Kind: stream.KindResponse, OK: true, Tag: 77}.AppendBinary(nil)
		raw, _ = stream.Packet{Kind: stream.KindRequest, Tag: 2, Type: typeWait}.AppendBinary(raw)
		raw, _ = stream.Packet{Kind: stream.KindRequest, Tag: 3, Type: typeEcho, Payload: make([]byte, 100)}.AppendBinary(raw)
		whole := len(raw)
		raw = append(raw, 9, 4) // seven bytes of this one are missing
		if _, err := peers.Write(raw); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		got := samples(t, reg)
		if queued := got["send_queue_bytes{}"]; queued < 100 || queued > 110 {
			t.Errorf("send_queue_bytes is %v, want the 100 bytes that the peer does not read, and a header", queued)
		}
		peers.Close()
		synctest.Wait() // the write fails with the closed pipe
		want(t, reg, map[string]float64{
			`payload_bytes_total{payload="request",role="server",type="Echo"}`:  100,
			`payload_bytes_total{payload="response",role="server",type="Echo"}`: 100,
			`requests_total{outcome="ok",role="server",type="Echo"}`:            1,
			`request_duration_seconds{role="server",type="Echo"}`:               1,
			`responses_dropped_total{reason="unknown"}`:                         1,
			`requests_unanswered_total{}`:                                       1,
			`connections_opened_total{}`:                                        1,
			`connections_closed_total{reason="` + c.Reason().String() + `"}`:    1,
			`packets_total{direction="received"}`:                               3,
			`packets_total{direction="sent"}`:                                   float64(c.Stats().PacketsSent),
			`packet_bytes_total{direction="sent"}`:                              float64(c.Stats().BytesSent),
			`packet_bytes_total{direction="received"}`:                          float64(whole),
		})
		close(release)
		synctest.Wait()
		if got := samples(t, reg)[`requests_total{outcome="lost",role="server",type="Wait"}`]; got != 1 {
			t.Errorf("%v requests lost, want 1", got)
		}
		if got := samples(t, reg)[`request_duration_seconds{role="server",type="Wait"}`]; got != 0 {
			t.Errorf("%v durations of requests whose peer has gone, want 0", got)
		}
		c.Close()
		mine.Close()
	})
}

// A peer that never reads makes this side pause.
func TestPausedReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, reg := mustNew(t, Options{})
		release := make(chan struct{})
		p := connect(t, stream.Options{}, stream.Options{Observer: m, Handler: testMux(release), MaxHandlers: 1, MaxQueued: 1})
		for range 4 {
			if _, err := p.client.Submit(t.Context(), stream.Request{Type: typeWait}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := samples(t, reg); got["readers_paused{}"] != 1 || got["requests_queued{}"] != 1 {
			t.Errorf("paused %v, queued %v, want 1 and 1", got["readers_paused{}"], got["requests_queued{}"])
		}
		close(release)
		synctest.Wait()
		if got := samples(t, reg)["readers_paused{}"]; got != 0 {
			t.Errorf("paused %v after the queue was served, want 0", got)
		}
	})
}

// Whatever a peer sends, there are no new series.
func TestHostilePeerMakesNoSeries(t *testing.T) {
	m, reg := mustNew(t, Options{Types: typeNames})
	names := func() []string {
		var list []string
		for name := range samples(t, reg) {
			list = append(list, name)
		}
		slices.Sort(list)
		return list
	}
	before := names()
	synctest.Test(t, func(t *testing.T) {
		for i := range uint64(20) {
			name := fmt.Sprintf("hostile-%d", i)
			p := connect(t,
				stream.Options{Name: name, Channels: map[uint64]stream.Handler{1000 + i: nil}},
				stream.Options{Name: name, Observer: m, Handler: testMux(nil)})
			for k := range uint64(200) {
				req := stream.Request{Type: 1000 + i*200 + k, Flags: k, Label: fmt.Sprint(i, k), Payload: []byte(name)}
				if k%2 == 1 {
					req.Channel = 1000 + i
				}
				if err := p.ask(t.Context(), req); err == nil {
					t.Fatal("an unknown type was answered ok")
				}
			}
			p.client.Close()
			p.server.Close()
		}
	})
	if after := names(); !slices.Equal(before, after) {
		t.Errorf("%d series before, %d after", len(before), len(after))
	}
	got := samples(t, reg)
	if n := got[`requests_total{outcome="rejected",role="server",type="other"}`]; n != 4000 {
		t.Errorf("%v requests of the type other, want 4000", n)
	}
}
