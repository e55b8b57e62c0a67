package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/tree"
)

// storePull is what the flags of pull say.
type storePull struct {
	target       storeTarget
	archive, ref string
	at           moment
	sync, json   bool
}

func newStorePullCommand() *cobra.Command {
	var p storePull
	cmd := &cobra.Command{
		Use:   "pull --addr ADDRESS DEST",
		Short: "Get what was pushed, or all of a store into another",
		Long: `Get out of a store what was pushed last to --archive NAME, or up to the time --at, or
what --ref names, into the directory or the file DEST. Each block is checked against
its hash. What is there already is compared first, and only what differs is fetched: a
pull that was cut off goes on where it was. Other files in DEST stay.

If DEST is an address, tcp://, tls:// or unix://, all blocks of the store at --addr
that the one at DEST does not have are copied to it.

With --json there is one object: ref, archive and when (of its entry), seconds, files,
directories, links, bytes, blocks_moved and bytes_moved (fetched), blocks_there and
bytes_there.

Exit codes: 0 all is there, 1 missing, malformed or in the way; 2 wrong usage, 3 no
connection or connection lost, 4 no answer within --timeout.`,
		Example: `  pktsvc store pull --addr tcp://127.0.0.1:7450 --archive documents restored
  pktsvc store pull --addr tcp://127.0.0.1:7450 --archive web --at 2026-01-31 old
  pktsvc store pull --addr tcp://127.0.0.1:7450 tcp://backup:7450`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if isAddress(args[0]) {
				if p.archive != "" || p.ref != "" {
					return exitError{exitUsage, errors.New("--archive and --ref are for directories and files")}
				}
				var to address
				if err := to.Set(args[0]); err != nil {
					return exitError{exitUsage, fmt.Errorf("%q: %w", args[0], err)}
				}
				return copyStore(cmd, &p.target, p.target.at(to), p.json)
			}
			return p.run(cmd, args[0])
		},
	}
	flags := p.target.flags(cmd)
	flags.StringVar(&p.archive, "archive", "", "name of the archive")
	flags.Var(&p.at, "at", "what was the last at that time: 2006-01-02T15:04:05Z, 2006-01-02 15:04, a day, or seconds since 1970")
	flags.StringVar(&p.ref, "ref", "", "reference of a file or a directory")
	flags.BoolVar(&p.sync, "sync", false, "write each file through to the disk before it gets its name")
	flags.BoolVar(&p.json, "json", false, "one JSON object")
	cmd.MarkFlagsMutuallyExclusive("archive", "ref")
	cmd.MarkFlagsMutuallyExclusive("at", "ref")
	return cmd
}

// pulled is what pull says with --json.
type pulled struct {
	Ref     tree.Reference    `json:"ref"`
	Archive store.ArchiveName `json:"archive,omitempty"`
	When    string            `json:"when,omitempty"`
	transferReport
}

func (p *storePull) run(cmd *cobra.Command, dest string) error {
	var report pulled
	var err error
	switch {
	case p.ref != "":
		report.Ref, err = tree.ParseReference(p.ref)
	case p.archive != "":
		report.Archive = store.ArchiveName(p.archive)
		err = report.Archive.Check()
	default:
		err = errors.New("give --archive NAME or --ref REF")
	}
	if err != nil {
		return exitError{exitUsage, err}
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	from, err := p.target.open(ctx)
	if err != nil {
		return err
	}
	defer from.close()
	t := newTransfer(cmd, p.json)
	options := t.options(from)
	options.Durable = p.sync
	err = t.watch(ctx, func() error {
		root := report.Ref.Dirent()
		if report.Archive != "" {
			entry, err := entryAt(ctx, from, report.Archive, p.at.Time)
			if err != nil {
				return err
			}
			root = entry.Dirent
			report.When = (&moment{entry.Time().UTC()}).String()
			if report.Ref, err = tree.ReferenceTo(root); err != nil {
				return err
			}
		}
		t.writes(report.Ref)
		if info, err := os.Stat(dest); err == nil && info.IsDir() && !report.Ref.Directory && root.Name != "" {
			dest = filepath.Join(dest, filepath.Base(root.Name)) // as cp does
		}
		return tree.Get(ctx, from, root, dest, options)
	})
	if err != nil {
		return err
	}
	report.transferReport = t.report()
	return t.end(report, report.Ref.String())
}
