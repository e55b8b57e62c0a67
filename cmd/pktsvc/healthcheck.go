package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/server"
)

func newHealthcheckCommand() *cobra.Command {
	var admin, ca string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Say whether a running server is ready; for containers",
		Long: `Ask the admin server of a running pktsvc whether it is ready for new work.

A server with admin_web_config is asked by https, with its user: the address
may be https://USER:PASSWORD@HOST:PORT, best in the variable PKTSVC_HEALTHCHECK of
the environment, which others cannot read.

Exit codes: 0 ready, 1 not, with the reason on standard error.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("admin") {
				// What serve in the same container was told.
				for _, name := range []string{"PKTSVC_ADMIN", "PKTSVC_HEALTHCHECK"} {
					if set, ok := os.LookupEnv(name); ok {
						admin = set
					}
				}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			tls, err := server.ClientTLS{CA: ca}.Config()
			if err != nil {
				return exitError{exitUsage, err}
			}
			state, err := askReady(ctx, admin, tls)
			if err != nil {
				return exitError{1, err}
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), state)
			return err
		},
	}
	cmd.Flags().StringVar(&admin, "admin", server.DefaultAdmin, "HOST:PORT of the admin server, or https://HOST:PORT; default PKTSVC_HEALTHCHECK or PKTSVC_ADMIN, if that is set")
	cmd.Flags().StringVar(&ca, "tls-ca", "", "PEM file with the authorities to trust for https (default those of the system)")
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long to wait for the answer")
	return cmd
}

// askReady returns what /readyz answers if it is ready, else an error that says
// what is wrong.
func askReady(ctx context.Context, admin string, tls *tls.Config) (string, error) {
	at := &url.URL{Scheme: "http", Host: admin}
	if strings.HasPrefix(admin, "https://") {
		var err error
		if at, err = url.Parse(admin); err != nil {
			return "", errors.New("--admin is no URL that can be read") // it may have a password
		}
	}
	host, port, err := net.SplitHostPort(at.Host)
	if err != nil {
		return "", fmt.Errorf("--admin is %q, want HOST:PORT or https://HOST:PORT", at.Redacted())
	}
	switch host { // where a server that listens everywhere can be reached
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	at.Host, at.Path = net.JoinHostPort(host, port), "/readyz"
	url := at.Redacted()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return "", fmt.Errorf("--admin is %q: %w", url, err)
	}
	// No proxy, no connection kept.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: tls}}
	resp, err := client.Do(req)
	if errors.Is(err, context.DeadlineExceeded) {
		return "", fmt.Errorf("no answer in time from %s", url)
	}
	if err != nil {
		return "", fmt.Errorf("cannot reach the admin server: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return "", fmt.Errorf("the answer of %s broke off: %w", url, err)
	}
	text := strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("not ready: %s answers %s: %s", url, resp.Status, text)
	}
	return text, nil
}
