package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/tree"
)

// storePush is what the flags of push say.
type storePush struct {
	target    storeTarget
	archive   string
	noArchive bool
	json      bool
}

// isAddress tells the address of a store from a path.
func isAddress(s string) bool {
	for _, scheme := range []string{"tcp://", "tls://", "unix://"} {
		if strings.HasPrefix(s, scheme) {
			return true
		}
	}
	return false
}

func newStorePushCommand() *cobra.Command {
	var p storePush
	cmd := &cobra.Command{
		Use:   "push --addr ADDRESS SOURCE",
		Short: "Store a directory under a name, or all of another store",
		Long: `Store a directory or a file, and append its reference to an archive, from which pull
gets it: by default one with the name of SOURCE, in which _ stands for dots. The
reference is printed.

If SOURCE is an address, tcp://, tls:// or unix://, all blocks of that store that the
one at --addr does not have are copied to it. What is missing is found by checksums,
so that little is said about stores that are alike. Archives are not copied.

A push that was cut off is begun again by the same command: only what is missing
travels. When a connection is lost it is made anew, with another --addr if there are
several, and in the end what the store was given before is looked for.

With --json there is one object: ref, archive and recorded (true or false) of a
directory or a file; and seconds, files, directories, links, bytes, blocks_moved and
bytes_moved (that were missing), blocks_there and bytes_there, left_out (path and
reason) and left_out_count.

Exit codes: 0 all is stored but for special files, and recorded if --archive was given;
1 refused, or not complete; 2 wrong usage, 3 no connection or connection lost, 4 no
answer within --timeout.`,
		Example: `  pktsvc store push --addr tcp://127.0.0.1:7450 ~/documents
  pktsvc store push --addr tcp://a:7450 --addr tcp://b:7450 --archive web /var/www
  pktsvc store push --addr tcp://backup:7450 tcp://127.0.0.1:7450`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if isAddress(args[0]) {
				if p.archive != "" || p.noArchive {
					return exitError{exitUsage, errors.New("--archive and --no-archive are for directories and files")}
				}
				var from address
				if err := from.Set(args[0]); err != nil {
					return exitError{exitUsage, fmt.Errorf("%q: %w", args[0], err)}
				}
				return copyStore(cmd, p.target.at(from), &p.target, p.json)
			}
			return p.run(cmd, args[0])
		},
	}
	flags := p.target.flags(cmd)
	flags.StringVar(&p.archive, "archive", "", "name of the archive (default that of SOURCE)")
	flags.BoolVar(&p.noArchive, "no-archive", false, "append to no archive")
	flags.BoolVar(&p.json, "json", false, "one JSON object")
	cmd.MarkFlagsMutuallyExclusive("archive", "no-archive")
	return cmd
}

// pushed is what push says with --json.
type pushed struct {
	Ref      tree.Reference    `json:"ref"`
	Archive  store.ArchiveName `json:"archive,omitempty"`
	Recorded bool              `json:"recorded"`
	transferReport
}

func (p *storePush) run(cmd *cobra.Command, source string) error {
	archive, err := store.ArchiveName(p.archive), error(nil)
	switch {
	case p.archive != "":
		err = archive.Check()
	case !p.noArchive:
		archive, err = archiveFor(source)
	}
	if err != nil {
		return exitError{exitUsage, err}
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	to, err := p.target.open(ctx)
	if err != nil {
		return err
	}
	defer to.close()
	t := newTransfer(cmd, p.json)
	t.sources = []string{source}
	var report pushed
	err = t.watch(ctx, func() error {
		epoch := to.epoch()
		root, err := tree.Put(ctx, to, source, t.options(to))
		if err != nil {
			return err
		}
		if report.Ref, err = tree.ReferenceTo(root); err != nil || archive == "" {
			return err
		}
		report.Archive = archive
		err = record(ctx, to, archive, root, epoch)
		if errors.Is(err, errNotRecorded) {
			t.notRecorded(archive, p.archive != "")
			return nil
		}
		report.Recorded = err == nil
		return err
	})
	if err != nil {
		return err
	}
	report.transferReport = t.report()
	return t.end(report, report.Ref.String())
}

// notRecorded says that a store refuses an archive; what was stored can be got by its
// reference all the same.
func (t *transfer) notRecorded(archive store.ArchiveName, wanted bool) {
	fmt.Fprintf(t.cmd.ErrOrStderr(), "%s: the store refuses to append to the archive %q: keep the reference\n", t.cmd.CommandPath(), archive)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.serious = t.serious || wanted
}

// copyStore copies the blocks of one store that another does not have.
func copyStore(cmd *cobra.Command, fromTarget, toTarget *storeTarget, asJSON bool) error {
	ctx, stop := interruptible(cmd)
	defer stop()
	from, err := fromTarget.open(ctx)
	if err != nil {
		return err
	}
	defer from.close()
	to, err := toTarget.open(ctx)
	if err != nil {
		return err
	}
	defer to.close()
	t := newTransfer(cmd, asJSON)
	if err := t.watch(ctx, func() error { return tree.Sync(ctx, from, to, t.options(to)) }); err != nil {
		return err
	}
	c := t.progress.Counts()
	return t.end(t.report(), fmt.Sprintf("%d blocks copied, %s", c.BlocksMoved, bytesText(c.BytesMoved)))
}
