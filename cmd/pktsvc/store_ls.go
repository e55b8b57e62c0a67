package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/tree"
)

// storeListing is what the flags of ls say.
type storeListing struct {
	target          storeTarget
	start, archive  string
	limit           uint64
	long, recursive bool
	json            bool

	out   *bufio.Writer
	count uint64
	held  uint64 // bytes of directories from the root to here
}

func newStoreListCommand() *cobra.Command {
	var l storeListing
	cmd := &cobra.Command{
		Use:   "ls --addr ADDRESS [REF]",
		Short: "List hash codes, a directory or an archive",
		Long: `List what is in a store: without REF the hash codes of all blocks, in order; with
the reference of a directory its entries; with --archive the entries of an archive,
the oldest first: time, reference and name.

With --json there is one object a line: of a block hash; of an entry name, kind (file,
dir, link, other), ref (of files and directories), size, mode, modified and target (of
links); of an archive's entry also when.

Exit codes: 0 listed, 1 missing, malformed or refused; 2 wrong usage, 3 no connection
or connection lost, 4 no answer within --timeout.`,
		Example: `  pktsvc store ls --addr tcp://127.0.0.1:7450 --limit 10
  pktsvc store ls --addr tcp://127.0.0.1:7450 -lR dir:blake3:HEX@300
  pktsvc store ls --addr tcp://127.0.0.1:7450 --archive home`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return l.run(cmd, firstOr(args, "")) },
	}
	flags := l.target.flags(cmd)
	flags.StringVar(&l.start, "start", "", "hash code to begin with, whether it is there or not")
	flags.Uint64Var(&l.limit, "limit", 0, "list no more than so many (default all)")
	flags.StringVar(&l.archive, "archive", "", "name of an archive")
	flags.BoolVarP(&l.long, "long", "l", false, "mode, size, time and reference of the entries of a directory, too")
	flags.BoolVarP(&l.recursive, "recursive", "R", false, "what is in directories of the directory, too")
	flags.BoolVar(&l.json, "json", false, "one JSON object a line")
	cmd.MarkFlagsMutuallyExclusive("archive", "start")
	return cmd
}

func (l *storeListing) run(cmd *cobra.Command, text string) error {
	var ref tree.Reference
	var start store.Code
	var err error
	switch {
	case text != "" && (l.archive != "" || l.start != ""):
		err = fmt.Errorf("--archive and --start are for a listing without REF")
	case text != "":
		if ref, err = tree.ParseReference(text); err == nil && !ref.Directory {
			err = fmt.Errorf("%.200q is no directory", text)
		}
	case l.archive != "":
		err = store.ArchiveName(l.archive).Check()
	case l.start != "":
		start, err = store.ParseCode(l.start)
	}
	if err != nil {
		return exitError{exitUsage, err}
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	from, err := l.target.open(ctx)
	if err != nil {
		return err
	}
	defer from.close()
	l.out = bufio.NewWriter(cmd.OutOrStdout())
	switch {
	case text != "":
		err = l.directory(ctx, from, "", ref.Dirent(), 0)
	case l.archive != "":
		err = l.entries(ctx, from)
	default:
		err = l.codes(ctx, from, start)
	}
	if errors.Is(err, errListed) {
		err = nil
	}
	return storeError(ctx, errors.Join(err, l.out.Flush()))
}

// errListed ends a listing that is as long as it may be.
var errListed = errors.New("enough is listed")

// line writes one line, of v with --json.
func (l *storeListing) line(v any, text string) error {
	if l.limit > 0 && l.count == l.limit {
		return errListed
	}
	l.count++
	if l.json {
		return json.NewEncoder(l.out).Encode(v)
	}
	_, err := fmt.Fprintln(l.out, text)
	return err
}

func (l *storeListing) codes(ctx context.Context, from *storeConn, start store.Code) error {
	for code, err := range from.Codes(ctx, start) {
		if err != nil {
			return err
		}
		if err := l.line(struct {
			Hash string `json:"hash"`
		}{code.String()}, code.String()); err != nil {
			return err
		}
	}
	return nil
}

// listed is an entry as --json shows it.
type listed struct {
	When     *time.Time `json:"when,omitempty"` // of an archive's entry
	Name     string     `json:"name"`
	Kind     string     `json:"kind"`
	Ref      string     `json:"ref,omitempty"`
	Size     uint64     `json:"size"`
	Mode     string     `json:"mode,omitempty"` // octal
	Modified *time.Time `json:"modified,omitempty"`
	Target   string     `json:"target,omitempty"`

	meta tree.Metadata
}

func newListed(name string, d store.Dirent) listed {
	e := listed{Name: name, Kind: "other"}
	switch d.Type {
	case store.DirentFile:
		e.Kind = "file"
	case store.DirentDirectory:
		e.Kind = "dir"
	case store.DirentLink:
		e.Kind = "link"
	}
	if ref, err := tree.ReferenceTo(d); err == nil {
		e.Ref, e.Size = ref.String(), ref.Ref.Span
	}
	// Of metadata that say nothing that is known the rest is shown all the same.
	e.meta, _ = tree.ParseMetadata(d.Meta)
	if e.meta.HasMode {
		e.Mode = fmt.Sprintf("%o", e.meta.Mode)
	}
	if !e.meta.Modified.IsZero() {
		modified := e.meta.Modified.UTC()
		e.Modified = &modified
	}
	if e.Kind == "link" {
		e.Target = e.meta.Target
	}
	return e
}

// text is the entry as a line. Names are a peer's, and may not lead a terminal astray.
func (e *listed) text(long bool) string {
	name := readable([]byte(e.Name))
	if e.Kind == "dir" {
		name += "/"
	}
	if !long {
		return name
	}
	mode, modified := "---------", "-"
	if e.meta.HasMode {
		mode = e.meta.Mode.String()[1:]
	}
	if e.Modified != nil {
		modified = e.Modified.Format(time.RFC3339)
	}
	if e.Target != "" {
		name += " -> " + readable([]byte(e.Target))
	}
	if e.Ref != "" {
		name += "  " + e.Ref
	}
	return fmt.Sprintf("%-5s %s %12d %-20s %s", e.Kind, mode, e.Size, modified, name)
}

func (l *storeListing) directory(ctx context.Context, from *storeConn, at string, dir store.Dirent, depth int) error {
	if depth > tree.DefaultDepth {
		return fmt.Errorf("%q: over %d directories in each other: %w", at, tree.DefaultDepth, tree.ErrLimit)
	}
	if dir.Block != nil {
		if dir.Block.Span > tree.DefaultDirectory-l.held {
			return fmt.Errorf("%q, with the directories that it is in, has over %d bytes: %w", at, tree.DefaultDirectory, tree.ErrLimit)
		}
		l.held += dir.Block.Span
		defer func() { l.held -= dir.Block.Span }()
	}
	for d, err := range tree.Entries(ctx, from, dir, tree.Limits{}) {
		if err != nil {
			return fmt.Errorf("%q: %w", at, err)
		}
		name := path.Join(at, d.Name)
		e := newListed(name, d)
		if err := l.line(e, e.text(l.long)); err != nil {
			return err
		}
		if l.recursive && d.Type == store.DirentDirectory {
			if err := l.directory(ctx, from, name, d, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *storeListing) entries(ctx context.Context, from *storeConn) error {
	list, err := from.List(ctx, store.ArchiveName(l.archive))
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("archive %q: %w", l.archive, store.ErrMissing)
	}
	if err != nil {
		return err
	}
	for _, entry := range list {
		e := newListed(entry.Dirent.Name, entry.Dirent)
		when := entry.Time().UTC()
		e.When = &when
		if err := l.line(e, fmt.Sprintf("%s %s %s", when.Format(time.RFC3339Nano), e.Ref, e.text(false))); err != nil {
			return err
		}
	}
	return nil
}
