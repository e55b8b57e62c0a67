package stream

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"
)

// The recorded forms of messages are what is written and read.
func TestMessageVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/extension.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name    string
		Tag     uint64
		Message Message
		Hex     string
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	kinds := make(map[MessageKind]bool)
	for _, v := range vectors {
		kinds[v.Message.Kind] = true
		p := v.Message.packet(v.Tag)
		wire, err := p.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(wire); got != v.Hex {
			t.Errorf("%s: %s, want %s", v.Name, got, v.Hex)
		}
		want, err := hex.DecodeString(v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		read, _, _, err := ParsePacket(want, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseMessage(&read); err != nil || !reflect.DeepEqual(got, v.Message) {
			t.Errorf("%s: read as %+v (%v), want %+v", v.Name, got, err, v.Message)
		}
	}
	if len(kinds) != int(numMessageKinds) {
		t.Errorf("vectors of %d kinds, want %d", len(kinds), numMessageKinds)
	}
}

// Whatever comes is a message that is written as it is read, or none.
func FuzzMessage(f *testing.F) {
	for _, m := range []Message{
		{Kind: MessageHello, Hello: Hello{1, AllFeatures, 33792, 7}},
		{Kind: MessageMetadata, Metadata: &Metadata{Tag: 9, Trace: make([]byte, traceSize), State: "a=b", Baggage: "k=v", Timeout: time.Second}},
		{Kind: MessageGoingAway, Last: []ChannelTag{{0, 2}, {5, 1 << 40}}},
		{Kind: MessageTimes, Times: Times{1, 2, time.Millisecond, time.Hour}},
	} {
		f.Add(uint64(m.Kind), m.append(nil))
	}
	f.Fuzz(func(t *testing.T, typ uint64, payload []byte) {
		m, err := ParseMessage(&Packet{Kind: KindRequest, Channel: ControlChannel, Type: typ, Payload: payload})
		if err != nil {
			return
		}
		p := m.packet(2)
		again, err := ParseMessage(&p)
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%+v is read as %+v (%v)", m, again, err)
		}
	})
}
