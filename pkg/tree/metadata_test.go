package tree

import (
	"testing"
	"time"
)

func TestMetadata(t *testing.T) {
	at := time.Unix(1_700_000_000, 500_000_000)
	for _, test := range []struct {
		text string
		want Metadata
	}{
		{"", Metadata{}},
		{`{"m":1700000000.5,"mode":"640"}`, Metadata{Modified: at, Mode: 0o640, HasMode: true}},
		{`{"pathref":"../\u003cx\u003e"}`, Metadata{Target: "../<x>"}},
		{`{"m":-1.5}`, Metadata{Modified: time.Unix(-2, 500_000_000)}},
		{`{"mode":"0"}`, Metadata{HasMode: true}},
	} {
		m, err := ParseMetadata(test.text)
		if err != nil || !m.Modified.Equal(test.want.Modified) || m.Mode != test.want.Mode || m.HasMode != test.want.HasMode || m.Target != test.want.Target {
			t.Errorf("%s: %+v, %v, want %+v", test.text, m, err, test.want)
		}
		if got := test.want.String(); got != test.text {
			t.Errorf("%+v is %s, want %s", test.want, got, test.text)
		}
	}
	for text, want := range map[string]Metadata{ // of others
		`{"a":"o:rw-x","m":1700000000.5,"pathref":"/x"}`: {Modified: at, Target: "/x"},
		"a:o:rw-x;m:1700000000.500000":                   {Modified: at},
		"a:o:rw-x":                                       {},
		"mode:104755;m:0":                                {Modified: time.Unix(0, 0), Mode: 0o755, HasMode: true},
	} {
		m, err := ParseMetadata(text)
		if err != nil || !m.Modified.Equal(want.Modified) || m.Mode != want.Mode || m.Target != want.Target {
			t.Errorf("%s: %+v, %v, want %+v", text, m, err, want)
		}
	}
	for _, wrong := range []string{`{`, `{"m":"x"}`, `{"m":1e300}`, `{"mode":"9"}`, "m:x", "m:NaN", "m:-1e18", "mode:rwx", `{"mode":755}`} {
		if m, err := ParseMetadata(wrong); err == nil {
			t.Errorf("%s: %+v", wrong, m)
		}
	}
}

// The time of a copy is stored as that of what it is a copy of.
func TestTimesAreStable(t *testing.T) {
	at := time.Unix(1_795_716_547, 268_999_999)
	for range 10_000 {
		at = at.Add(1_234_567_891 * time.Nanosecond)
		text := Metadata{Modified: at}.String()
		m, err := ParseMetadata(text)
		if err != nil || !m.Modified.Equal(at.Truncate(time.Microsecond)) || m.String() != text {
			t.Fatalf("%v is %s, which reads as %v and is then %s, %v", at, text, m.Modified, m, err)
		}
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add(`{"a":"o:rw-x","m":1700000000.5,"mode":"755","pathref":"/x"}`)
	f.Add("a:o:rw-x;m:1002.25")
	f.Add(`{"m":-9.2e9}`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMetadata(text)
		if err != nil {
			return
		}
		back, err := ParseMetadata(m.String())
		if err != nil || back.String() != m.String() {
			t.Errorf("%q is %s, which reads as %+v, %v", text, m, back, err)
		}
	})
}
