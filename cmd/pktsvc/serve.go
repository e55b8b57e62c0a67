package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/server/storage"
)

// services are what serve can run, on a channel.
var services = map[string]func(channel uint64, settings *storage.Settings) fx.Option{
	"diag": func(channel uint64, _ *storage.Settings) fx.Option {
		return fx.Provide(server.AsService(func() server.Service {
			return server.Service{Name: "diag", Channel: channel, Mux: diag.Mux()}
		}))
	},
	"store": storage.Module,
}

func newServeCommand() *cobra.Command {
	var chosen []string
	var file string
	var printConfig bool
	settings := new(storage.Settings)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a packet service until a signal ends it",
		Long: `Run a packet service until SIGTERM or SIGINT ends it: by default a store of
blocks addressed by their hash, in the folder --data. Services besides it have a
channel of their own: --service store --service diag@1.

Every setting is, in this order, a flag, a variable of the environment
(--limits-max-packet is PKTSVC_LIMITS_MAX_PACKET), a key of the YAML file
(limits: max_packet:) or its default; --print-config shows them all.

The first signal drains: no new connections, requests in flight finish, the
connections end in order. A second one forces the end.

Exit codes: 0 everything accepted was answered, 1 it could not serve, 2 wrong
usage or configuration, 5 forced to end with requests unanswered.`,
		Example: `  pktsvc serve
  pktsvc serve --data /var/lib/pktsvc --sync always
  pktsvc serve --service diag
  pktsvc serve --listen tcp://127.0.0.1:0 --listen unix:///run/pktsvc.sock
  pktsvc serve --config pktsvc.yaml --print-config`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			serving, err := serviceOptions(chosen, settings)
			if err != nil {
				return exitError{exitUsage, err}
			}
			cfg, err := server.Load(server.Source{Flags: cmd.Flags(), File: file, Services: []server.Settings{settings}})
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
			err = server.Run(server.New(cfg, serving))
			if err != nil {
				return exitError{server.ExitCode(err), err}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringSliceVar(&chosen, "service", []string{"store"}, "what to serve: "+strings.Join(serviceNames(), ", ")+"; NAME@CHANNEL on another channel than 0 (repeatable)")
	flags.StringVar(&file, "config", "", "YAML file with settings")
	flags.BoolVar(&printConfig, "print-config", false, "print the configuration that would be in force, and exit")
	server.Flags(flags, settings)
	_ = cmd.MarkFlagFilename("config", "yaml", "yml") // the flag exists
	_ = cmd.RegisterFlagCompletionFunc("service", cobra.FixedCompletions(serviceNames(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// serviceOptions are the services that are asked for, each NAME or NAME@CHANNEL.
func serviceOptions(chosen []string, settings *storage.Settings) (fx.Option, error) {
	var all []fx.Option
	seen := make(map[string]bool)
	on := make(map[uint64]string) // the service of a channel
	for _, text := range chosen {
		name, at, elsewhere := strings.Cut(text, "@")
		newService, ok := services[name]
		if !ok || seen[name] {
			return nil, fmt.Errorf("--service is %q, want one of %s, each once, or with @ and a channel behind it", text, strings.Join(serviceNames(), ", "))
		}
		seen[name] = true
		var channel uint64
		if elsewhere {
			var err error
			if channel, err = strconv.ParseUint(at, 10, 64); err != nil {
				return nil, fmt.Errorf("--service is %q, want a channel's number behind the @", text)
			}
		}
		if other, taken := on[channel]; taken {
			return nil, fmt.Errorf("--service has %s and %s on channel %d: give one a channel of its own, as in %s@%d", other, name, channel, name, channel+1)
		}
		on[channel] = name
		all = append(all, newService(channel, settings))
	}
	return fx.Options(all...), nil
}

func serviceNames() []string {
	var names []string
	for name := range services {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
