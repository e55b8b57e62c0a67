package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
	"github.com/pktsvc/pktsvc/pkg/tree"
)

// archiveFor is the archive for what is at a path, by default: archives have no dots
// in their names.
func archiveFor(path string) (store.ArchiveName, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	name := store.ArchiveName(strings.Map(func(r rune) rune {
		if strings.ContainsRune(`./\`, r) || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, strings.TrimLeft(filepath.Base(full), ".")))
	if err := name.Check(); err != nil || filepath.Dir(full) == full {
		return "", fmt.Errorf("%q makes no name of an archive: give --archive NAME or --no-archive", full)
	}
	return name, nil
}

// errNotRecorded: the store refuses to append to an archive.
var errNotRecorded = errors.New("the archive was not appended to")

// record appends an entry to an archive and makes it durable. since is the epoch in which
// all that the entry refers to was there. When the connection is lost later the store may
// have forgotten that, or the entry, or it may be another one: so it is looked for both.
func record(ctx context.Context, to *storeConn, archive store.ArchiveName, d store.Dirent, since uint64) error {
	entry := store.Entry{When: store.UnixSeconds(time.Now()), Dirent: d}
	there := false
	for range dialAttempts {
		epoch := to.epoch()
		if epoch != since {
			if err := tree.Check(ctx, to, d, tree.Options{}); err != nil {
				return fmt.Errorf("the connection was lost, and not all is there: push it again: %w", err)
			}
			last, err := to.Last(ctx, archive)
			if err != nil && !errors.Is(err, store.ErrMissing) && !errors.Is(err, stream.ErrRejected) {
				return err
			}
			there = err == nil && last.When == entry.When && last.Dirent.Name == d.Name
		}
		var err error
		if !there {
			if err = to.Update(ctx, archive, entry); errors.Is(err, stream.ErrRejected) {
				return fmt.Errorf("%w: %w", errNotRecorded, err)
			}
		}
		if err == nil {
			err = to.Flush(ctx)
		}
		if err == nil && to.epoch() == epoch {
			return nil
		}
		if err != nil && !errors.Is(err, stream.ErrConnectionLost) {
			return err
		}
		since = 0 // no epoch: there have been others
	}
	return fmt.Errorf("archive %q: %w: %d times", archive, tree.ErrUnstable, dialAttempts)
}

// entryAt returns the last entry of an archive, or the last that is not later than at.
func entryAt(ctx context.Context, from *storeConn, archive store.ArchiveName, at time.Time) (store.Entry, error) {
	if at.IsZero() {
		return from.Last(ctx, archive)
	}
	list, err := from.List(ctx, archive)
	if err != nil {
		return store.Entry{}, err
	}
	for i := len(list) - 1; i >= 0; i-- {
		if !list[i].Time().After(at) {
			return list[i], nil
		}
	}
	return store.Entry{}, fmt.Errorf("archive %q has nothing as old as %v: %w", archive, at.Format(time.RFC3339), store.ErrMissing)
}

// moment is a flag: a time.
type moment struct{ time.Time }

func (m *moment) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Format(time.RFC3339Nano)
}

func (*moment) Type() string { return "time" }

// Set reads a time, a day, or seconds since 1970.
func (m *moment) Set(s string) (err error) {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if m.Time, err = time.ParseInLocation(form, s, time.Local); err == nil {
			if form == time.DateOnly { // all of the day
				m.Time = m.AddDate(0, 0, 1).Add(-1)
			}
			return nil
		}
	}
	if seconds, err := strconv.ParseFloat(s, 64); err == nil && seconds > 0 && seconds < 1e11 {
		m.Time = store.Entry{When: seconds}.Time()
		return nil
	}
	return fmt.Errorf("want a time such as 2006-01-02T15:04:05Z or 2006-01-02 15:04, a day, or seconds since 1970")
}
