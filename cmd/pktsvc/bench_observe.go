package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/server"
)

// observe has the calls observed and their metrics served, if --admin was given.
// The returned function ends that.
func (b *benchmark) observe(ctx context.Context, stderr io.Writer) (end func(), err error) {
	if b.admin == "" {
		return func() {}, nil
	}
	cfg := server.Default()
	cfg.Admin = b.admin
	cfg.AdminToken = server.Secret(os.Getenv("PKTSVC_ADMIN_TOKEN"))
	cfg.Tracing.Service = "pktsvc-bench"
	cfg.Tracing.URL = os.Getenv("PKTSVC_TRACING_URL")
	cfg.Dashboards.URL = os.Getenv("PKTSVC_DASHBOARDS_URL")
	cfg.Log.Level = "warn"  // what fails; the report counts the rest
	cfg.Log.Activity = 0    // it has a report and a progress bar
	cfg.Log.Packets = "off" // it would cost more than it is worth under load
	if err := cfg.Validate(); err != nil {
		return nil, exitError{exitUsage, fmt.Errorf("--admin, and its environment: %w", err)}
	}
	client, err := server.NewClient(cfg, server.Service{Name: "diag", Mux: diag.Mux()})
	if err != nil {
		return nil, err
	}
	if err := client.Start(ctx); err != nil {
		return nil, exitError{exitFailed, err}
	}
	fmt.Fprintf(stderr, "metrics at %s/metrics\n", client.AdminURL())
	b.plan.Options.Observer = client.Observer()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), cfg.StopTimeout())
		defer cancel()
		if err := client.Stop(ctx); err != nil {
			fmt.Fprintln(stderr, err)
		}
	}, nil
}
