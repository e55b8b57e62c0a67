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

// record appends an entry to an archive. Where the connection was lost, and it may or may
// not have been appended, the archive tells.
func record(ctx context.Context, to *storeConn, archive store.ArchiveName, d store.Dirent) error {
	entry := store.Entry{When: store.UnixSeconds(time.Now()), Dirent: d}
	err := to.Update(ctx, archive, entry)
	for attempt := 1; attempt < dialAttempts && errors.Is(err, stream.ErrConnectionLost); attempt++ {
		last, lastErr := to.Last(ctx, archive)
		if lastErr == nil && last.When == entry.When && last.Dirent.Name == d.Name {
			err = nil
			break
		}
		if lastErr != nil && !errors.Is(lastErr, store.ErrMissing) {
			return lastErr
		}
		err = to.Update(ctx, archive, entry)
	}
	if err != nil {
		return err
	}
	return to.Flush(ctx)
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
