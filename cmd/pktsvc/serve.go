package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/server"
)

// services are what serve can run.
var services = map[string]func() server.Service{
	"diag": func() server.Service { return server.Service{Name: "diag", Mux: diag.Mux()} },
}

func newServeCommand() *cobra.Command {
	var service, file string
	var printConfig bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a packet service until a signal ends it",
		Long: `Run a packet service until SIGTERM or SIGINT ends it.

Every setting is, in this order, a flag, a variable of the environment
(--limits-max-packet is PKTSVC_LIMITS_MAX_PACKET), a key of the YAML file
(limits: max_packet:) or its default; --print-config shows them all.

The first signal drains: no new connections, requests in flight finish, the
connections end in order. A second one forces the end.

Exit codes: 0 everything accepted was answered, 1 it could not serve, 2 wrong
usage or configuration, 5 forced to end with requests unanswered.`,
		Example: `  pktsvc serve
  pktsvc serve --listen tcp://127.0.0.1:0 --listen unix:///run/pktsvc.sock
  pktsvc serve --config pktsvc.yaml --print-config`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			newService, ok := services[service]
			if !ok {
				return exitError{exitUsage, fmt.Errorf("--service is %q, want one of %s", service, strings.Join(serviceNames(), ", "))}
			}
			cfg, err := server.Load(server.Source{Flags: cmd.Flags(), File: file})
			if err != nil {
				return exitError{exitUsage, fmt.Errorf("the configuration is wrong:\n%w", err)}
			}
			if printConfig {
				text, err := cfg.YAML()
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(text)
				return err
			}
			err = server.Run(server.New(cfg, fx.Provide(server.AsService(newService))))
			if err != nil {
				return exitError{server.ExitCode(err), err}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&service, "service", "diag", "what to serve: "+strings.Join(serviceNames(), ", "))
	flags.StringVar(&file, "config", "", "YAML file with settings")
	flags.BoolVar(&printConfig, "print-config", false, "print the configuration that would be in force, and exit")
	server.Flags(flags)
	_ = cmd.MarkFlagFilename("config", "yaml", "yml") // the flag exists
	_ = cmd.RegisterFlagCompletionFunc("service", cobra.FixedCompletions(serviceNames(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func serviceNames() []string {
	var names []string
	for name := range services {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
