package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/server"
)

func newHealthcheckCommand() *cobra.Command {
	var admin admin
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
			admin.fromEnvironment(cmd, "PKTSVC_ADMIN", "PKTSVC_HEALTHCHECK")
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			tls, err := server.ClientTLS{CA: admin.ca}.Config()
			if err != nil {
				return exitError{exitUsage, err}
			}
			state, err := askReady(ctx, &admin, tls)
			if err != nil {
				return exitError{1, err}
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), state)
			return err
		},
	}
	admin.flags(cmd.Flags())
	cmd.Flags().Lookup("admin").Usage = "HOST:PORT of the admin server, or https://HOST:PORT; default PKTSVC_HEALTHCHECK or PKTSVC_ADMIN, if that is set"
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long to wait for the answer")
	return cmd
}

// askReady returns what /readyz answers if it is ready, else an error that says
// what is wrong.
func askReady(ctx context.Context, admin *admin, tls *tls.Config) (string, error) {
	at, err := admin.url("/readyz", nil)
	if err != nil {
		return "", err
	}
	url := at.Redacted()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return "", fmt.Errorf("--admin is %q: %w", url, err)
	}
	resp, err := adminHTTP(tls).Do(req)
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
