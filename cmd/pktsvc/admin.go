package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pktsvc/pktsvc/pkg/server"
)

// admin is the admin server of a running pktsvc, as flags say where it is.
type admin struct {
	at, ca string
}

func (a *admin) flags(fs *pflag.FlagSet) {
	fs.StringVar(&a.at, "admin", server.DefaultAdmin, "HOST:PORT of the admin server, or https://HOST:PORT; default PKTSVC_ADMIN, if that is set")
	fs.StringVar(&a.ca, "tls-ca", "", "PEM file with the authorities to trust for https (default those of the system)")
}

// fromEnvironment takes what serve in the same place was told, unless a flag says where
// the server is.
func (a *admin) fromEnvironment(cmd *cobra.Command, names ...string) {
	if cmd.Flags().Changed("admin") {
		return
	}
	for _, name := range names {
		if set, ok := os.LookupEnv(name); ok {
			a.at = set
		}
	}
}

// url is that of a page. It may have a password.
func (a *admin) url(path string, q url.Values) (*url.URL, error) {
	at := &url.URL{Scheme: "http", Host: a.at}
	if strings.Contains(a.at, "://") {
		var err error
		if at, err = url.Parse(a.at); err != nil || at.Scheme != "https" && at.Scheme != "http" {
			return nil, errors.New("--admin is no URL that can be read, want HOST:PORT or https://HOST:PORT")
		}
	}
	host, port, err := net.SplitHostPort(at.Host)
	if err != nil {
		return nil, fmt.Errorf("--admin is %q, want HOST:PORT or https://HOST:PORT", at.Redacted())
	}
	switch host { // where a server that listens everywhere can be reached
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	at.Host, at.Path, at.RawQuery = net.JoinHostPort(host, port), path, q.Encode()
	return at, nil
}

// open asks for a page. Its body is the caller's to close. The error has an exit code.
func (a *admin) open(ctx context.Context, method, path string, q url.Values) (*http.Response, error) {
	at, err := a.url(path, q)
	if err != nil {
		return nil, exitError{exitUsage, err}
	}
	secure, err := server.ClientTLS{CA: a.ca}.Config()
	if err != nil {
		return nil, exitError{exitUsage, err}
	}
	req, err := http.NewRequestWithContext(ctx, method, at.String(), nil)
	if err != nil {
		return nil, exitError{exitUsage, fmt.Errorf("--admin is %q: %w", at.Redacted(), err)}
	}
	if token := os.Getenv("PKTSVC_ADMIN_TOKEN"); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := adminHTTP(secure).Do(req)
	if err != nil {
		return nil, exitError{exitNoAnswer, fmt.Errorf("cannot reach the admin server: %w", err)}
	}
	return resp, nil
}

// adminHTTP uses no proxy, and keeps no connection.
func adminHTTP(secure *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: secure}}
}

// ask reads a page of JSON.
func (a *admin) ask(ctx context.Context, method, path string, q url.Values, into any) error {
	resp, err := a.open(ctx, method, path, q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := refused(resp); err != nil {
		return err
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return exitError{exitNoAnswer, fmt.Errorf("the answer of the admin server broke off, or is not one of pktsvc: %w", err)}
	}
	return nil
}

// refused is the error that the admin server has answered with, or nil.
func refused(resp *http.Response) error {
	if resp.StatusCode < 300 {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // what is there of it is told
	text := strings.TrimSpace(string(body))
	var problem struct{ Error string }
	if json.Unmarshal(body, &problem) == nil && problem.Error != "" {
		text = problem.Error
	}
	code := exitFailed
	switch resp.StatusCode {
	case http.StatusBadRequest:
		code = exitUsage
	case http.StatusUnauthorized:
		text += " (set PKTSVC_ADMIN_TOKEN)"
	}
	return exitError{code, fmt.Errorf("%s: %s", resp.Status, text)}
}

// matchForms is how help describes what follows a command.
const matchForms = `Which requests are meant is said by any number of these, all of which must hold:
  conn=NAME           the connection's name
  peer=TEXT           a part of its peer's address
  identity=NAME       who its peer is, as it was verified
  role=ROLE           server: the peer has asked; client: this side has
  channel=N           a number, or LOW-HIGH
  tag=N               likewise
  type=N              likewise, or the name of a type
  label=TEXT          a part of the label of a call
  outcome=OUTCOME     ok, rejected, canceled, deadline, lost, refused or pending;
                      failed is all of these but ok and pending
  slower_than=TIME    such as 100ms`

// matchQuery reads them. Which names there are is known to the server.
func matchQuery(args []string) (url.Values, error) {
	q := make(url.Values)
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" || value == "" {
			return nil, exitError{exitUsage, fmt.Errorf("%q: want NAME=VALUE, such as tag=4711", arg)}
		}
		if q.Has(name) {
			return nil, exitError{exitUsage, fmt.Errorf("%q: %s is given twice", arg, name)}
		}
		q.Set(name, value)
	}
	return q, nil
}
