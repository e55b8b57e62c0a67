package object

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Scheme is how the URL of a store begins.
const Scheme = "s3://"

var errURL = errors.New("want s3://BUCKET/PREFIX?endpoint=http://HOST:PORT&region=REGION&path_style=true, of which the bucket is needed")

// parameterName is what a name of a parameter looks like, known or mistyped. What
// stands after a question mark that is part of a password does not.
var parameterName = regexp.MustCompile(`^[a-z][a-z_-]{0,19}$`)

// ParseURL reads where a store is:
//
//	s3://BUCKET/PREFIX?endpoint=http://127.0.0.1:9000&region=us-east-1&path_style=true
//
// Only the bucket is needed. Credentials have no place in it. Errors repeat of the
// URL only what is a plain word, as it might have some nevertheless.
func ParseURL(text string) (Options, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || !strings.HasPrefix(text, Scheme):
		return Options{}, errURL
	case u.User != nil:
		return Options{}, errors.New("credentials do not belong into a URL; they are taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case u.Fragment != "":
		return Options{}, errURL
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Options{}, errURL
	}
	o := Options{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	for name, values := range query {
		switch {
		case !parameterName.MatchString(name):
			return Options{}, fmt.Errorf("a parameter that is unknown: %w", errURL)
		case len(values) > 1:
			return Options{}, fmt.Errorf("the parameter %q is given twice", name)
		}
		switch name {
		case "endpoint":
			o.Endpoint = strings.TrimRight(values[0], "/")
		case "region":
			o.Region = values[0]
		case "path_style":
			if o.PathStyle, err = strconv.ParseBool(values[0]); err != nil {
				return Options{}, errors.New("path_style: want true or false")
			}
		default:
			return Options{}, fmt.Errorf("unknown parameter %q: %w", name, errURL)
		}
	}
	_, err = o.freeze()
	return o, err
}

// URL is what [ParseURL] reads. It has no secrets.
func (o Options) URL() string {
	u := Scheme + o.Bucket
	if o.Prefix != "" {
		u += "/" + o.Prefix
	}
	var parameters []string
	add := func(name, value string) {
		if value != "" {
			parameters = append(parameters, name+"="+strings.NewReplacer("%3A", ":", "%2F", "/").Replace(url.QueryEscape(value)))
		}
	}
	add("endpoint", o.Endpoint)
	add("region", o.Region)
	if o.PathStyle {
		add("path_style", "true")
	}
	if len(parameters) == 0 {
		return u
	}
	return u + "?" + strings.Join(slices.Clip(parameters), "&")
}

// Redacted is a URL that may be wrong, without what might be secret in it: for
// messages.
func Redacted(text string) string {
	before, _, query := strings.Cut(text, "?")
	if scheme, rest, ok := strings.Cut(before, "://"); ok {
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			before = scheme + "://xxxxx" + rest[at:]
		}
	} else if strings.Contains(before, "@") {
		before = "xxxxx"
	}
	if query {
		before += "?xxxxx"
	}
	return before
}
