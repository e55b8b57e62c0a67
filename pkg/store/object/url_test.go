package object

import (
	"strings"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
)

func TestParseURL(t *testing.T) {
	for _, test := range []struct {
		url  string
		want Options
	}{
		{"s3://bucket", Options{Bucket: "bucket"}},
		{"s3://bucket/", Options{Bucket: "bucket"}},
		{"s3://bucket/a/b-c_d.e/", Options{Bucket: "bucket", Prefix: "a/b-c_d.e"}},
		{"s3://bucket?region=eu-west-1", Options{Bucket: "bucket", Region: "eu-west-1"}},
		{
			"s3://bucket/p?endpoint=http://127.0.0.1:9000&region=us-east-1&path_style=true",
			Options{Bucket: "bucket", Prefix: "p", Endpoint: "http://127.0.0.1:9000", Region: "us-east-1", PathStyle: true},
		},
		{"s3://bucket?endpoint=https://%5B::1%5D:9000/", Options{Bucket: "bucket", Endpoint: "https://[::1]:9000"}},
	} {
		got, err := ParseURL(test.url)
		if err != nil || got != test.want {
			t.Errorf("%s: %+v, %v, want %+v", test.url, got, err, test.want)
		}
		if again, err := ParseURL(got.URL()); err != nil || again != got {
			t.Errorf("%s is given as %s, which is %+v, %v", test.url, got.URL(), again, err)
		}
	}
	for url, want := range map[string]string{
		"":                   "want s3://BUCKET",
		"http://bucket":      "want s3://BUCKET",
		"s3:bucket":          "want s3://BUCKET",
		"s3://":              "bucket",
		"s3://b":             "bucket",
		"s3://bucket/a//b":   "prefix",
		"s3://bucket/a/../b": "prefix",
		"s3://bucket/a%20b":  "prefix",
		"s3://bucket/" + strings.Repeat("x", 201):          "prefix",
		"s3://bucket#hunter2":                              "want s3://BUCKET",
		"s3://bucket?a=hunter2;b":                          "want s3://BUCKET",
		"s3://bucket?endpoint=hunter2":                     "endpoint: want http://HOST:PORT",
		"s3://bucket?endpoint=http://127.0.0.1/hunter2":    "nothing behind",
		"s3://bucket?endpoint=http://me:hunter2@127.0.0.1": "credentials do not belong",
		"s3://bucket?path_style=perhaps":                   "true or false",
		"s3://bucket?region=a&region=b":                    "twice",
		"s3://bucket?secret=hunter2":                       `unknown parameter "secret"`,
		"s3://me:hunter2@bucket":                           "credentials do not belong",
		"s3://me:hunter2@bucket:x":                         "want s3://BUCKET",
	} {
		_, err := ParseURL(url)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error tells the password: %v", url, err)
		}
		if shown := Redacted(url); strings.Contains(shown, ":hunter2@") || strings.Contains(shown, "secret=") {
			t.Errorf("%s is shown as %s", url, shown)
		}
	}
}

func TestRedacted(t *testing.T) {
	for url, want := range map[string]string{
		"disk:": "disk:", "ftp://x": "ftp://x", "s3://bucket/p": "s3://bucket/p",
		"s3://me:hunter2@bucket/p?a=b": "s3://xxxxx@bucket/p?xxxxx", "me:hunter2@bucket": "xxxxx", "s3://a@b@c": "s3://xxxxx@c",
	} {
		if got := Redacted(url); got != want {
			t.Errorf("%s is shown as %s, want %s", url, got, want)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for want, o := range map[string]Options{
		"bucket":             {},
		"unknown hash class": {Bucket: "bucket", Class: 77},
		"endpoint":           {Bucket: "bucket", Endpoint: "127.0.0.1:9000"},
	} {
		if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open with %+v: %v, want %q", o, err, want)
		}
	}
	t.Setenv("AWS_REGION", "eu-north-1")
	f, err := Options{Bucket: "bucket"}.freeze()
	if err != nil || f.Region != "eu-north-1" || f.host != "s3.amazonaws.com" || !f.secure || f.Tries != DefaultTries {
		t.Errorf("%+v, %v", f, err)
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("s3://bucket/p?endpoint=http://127.0.0.1:9000&region=us-east-1&path_style=true")
	f.Add("s3://bucket?endpoint=https://[::1]:9000")
	f.Add("s3://me:hunter2@bucket/?a=b&a=c")
	f.Fuzz(func(t *testing.T, url string) {
		o, err := ParseURL(url)
		if err != nil {
			if strings.Contains(err.Error(), "@") {
				t.Errorf("%q: %v", url, err)
			}
			return
		}
		if again, err := ParseURL(o.URL()); err != nil || again != o {
			t.Errorf("%q is %+v, given as %q, which is %+v, %v", url, o, o.URL(), again, err)
		}
	})
}

// Two archives never have a key in common, nor does one look into another.
func FuzzArchiveKeys(f *testing.F) {
	f.Add("a", "ab")
	f.Add("a b", "a%20b")
	f.Add("é", "e\u0301")
	f.Fuzz(func(t *testing.T, one, two string) {
		a, b := store.ArchiveName(one), store.ArchiveName(two)
		if one == two || a.Check() != nil || b.Check() != nil {
			return
		}
		l := newLayout(strings.Repeat("p", maxPrefix), store.BLAKE3)
		key, other := l.entry(a, 1), l.archive(b)
		if strings.HasPrefix(key, other) {
			t.Errorf("%q begins with %q", key, other)
		}
		if len(key) > 1024 {
			t.Errorf("the key of %q has %d bytes", one, len(key))
		}
	})
}
