package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/server"
)

func newHealthcheckCommand() *cobra.Command {
	var admin string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Say whether a running server is ready; for containers",
		Long: `Ask the admin server of a running pktsvc whether it is ready for new work.

Exit codes: 0 ready, 1 not, with the reason on standard error.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("admin") {
				// What serve in the same container was told.
				if set, ok := os.LookupEnv("PKTSVC_ADMIN"); ok {
					admin = set
				}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			state, err := askReady(ctx, admin)
			if err != nil {
				return exitError{1, err}
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), state)
			return err
		},
	}
	cmd.Flags().StringVar(&admin, "admin", server.DefaultAdmin, "HOST:PORT of the admin server; default PKTSVC_ADMIN, if that is set")
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long to wait for the answer")
	return cmd
}

// askReady returns what /readyz answers if it is ready, else an error that says
// what is wrong.
func askReady(ctx context.Context, admin string) (string, error) {
	host, port, err := net.SplitHostPort(admin)
	if err != nil {
		return "", fmt.Errorf("--admin is %q, want HOST:PORT", admin)
	}
	switch host { // where a server that listens everywhere can be reached
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	url := "http://" + net.JoinHostPort(host, port) + "/readyz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("--admin is %q: %w", admin, err)
	}
	// No proxy, no connection kept.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
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
