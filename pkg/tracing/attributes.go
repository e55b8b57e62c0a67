package tracing

import (
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// All names that appear in spans stand in this file, since the semantic
// conventions for RPC are not final.
const (
	scopeName = "github.com/pktsvc/pktsvc/pkg/tracing"
	schemaURL = semconv.SchemaURL

	systemName = "pktsvc"
	otherName  = "_OTHER" // the method of request types without a name

	keySystem         = semconv.RPCSystemNameKey
	keyMethod         = semconv.RPCMethodKey
	keyMethodOriginal = semconv.RPCMethodOriginalKey
	keyErrorType      = semconv.ErrorTypeKey

	keyConn         = attribute.Key("pktsvc.conn")
	keyChannel      = attribute.Key("pktsvc.channel")
	keyTag          = attribute.Key("pktsvc.tag")
	keyType         = attribute.Key("pktsvc.request.type")
	keyFlags        = attribute.Key("pktsvc.request.flags")
	keyLabel        = attribute.Key("pktsvc.request.label")
	keyRequestSize  = attribute.Key("pktsvc.request.size")  // payload bytes
	keyResponseSize = attribute.Key("pktsvc.response.size") // payload bytes
	keyOutcome      = attribute.Key("pktsvc.outcome")
	keyWaited       = attribute.Key("pktsvc.waited") // seconds until the handler started

	// What a peer has told of its part of a call: seconds until the handler started, and
	// those of the handler. The rest was the way there and back.
	keyPeerWaited  = attribute.Key("pktsvc.peer.waited")
	keyPeerHandled = attribute.Key("pktsvc.peer.handled")

	keyBecause = attribute.Key("pktsvc.notable_because") // of a span that was made after the request's end

	eventQueued        = "pktsvc.request.queued"    // client: it has a tag and waits to be sent
	eventWritten       = "pktsvc.request.written"   // client: it was handed to the stream
	eventReceived      = "pktsvc.response.received" // client: the response was read
	eventStarted       = "pktsvc.request.started"   // server: its handler starts
	eventHandled       = "pktsvc.request.handled"   // server: its handler has ended
	eventAnswerWritten = "pktsvc.response.written"  // server: the response was handed to the stream
)

// number is an attribute for one of the protocol's numbers: an integer where
// OpenTelemetry has one so large, else its decimal digits.
func number(key attribute.Key, v uint64) attribute.KeyValue {
	if v > math.MaxInt64 {
		return key.String(strconv.FormatUint(v, 10))
	}
	return key.Int64(int64(v))
}

// maxText bounds the texts in a span that applications or peers choose, in bytes.
const maxText = 512

// clean makes a text fit for export: one that is not UTF-8 makes an exporter
// give up the whole batch.
func clean(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "..."
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// AddressAttributes describes the two ends of a stream for Options.Attributes:
// server is where requests go, peer the other end as this side sees it. Either
// may be nil. Of unix sockets it is the path.
func AddressAttributes(server, peer net.Addr) []attribute.KeyValue {
	list := address(nil, semconv.ServerAddressKey, semconv.ServerPortKey, server)
	return address(list, semconv.NetworkPeerAddressKey, semconv.NetworkPeerPortKey, peer)
}

func address(list []attribute.KeyValue, host, port attribute.Key, a net.Addr) []attribute.KeyValue {
	if a == nil || a.String() == "" {
		return list
	}
	if ap, err := netip.ParseAddrPort(a.String()); err == nil {
		return append(list, host.String(ap.Addr().Unmap().String()), port.Int(int(ap.Port())))
	}
	return append(list, host.String(a.String()))
}
