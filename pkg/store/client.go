package store

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Client asks a store. It checks every answer that can be checked: blocks against
// their hash codes, hash codes of what was added against its own, lists against
// what was asked for. An answer that cannot be right is an error that matches
// ErrAnswer; other errors are those of [stream.Conn.Call]. Its methods wait for
// the answer, and may be called concurrently.
type Client struct {
	to    stream.Caller
	class Class
}

// NewClient returns a client that asks over a connection or a [stream.Client].
// The class must be the store's.
func NewClient(to stream.Caller, class Class) *Client { return &Client{to, class} }

// Class is the class that the client was made with.
func (c *Client) Class() Class { return c.class }

// Add stores a block and returns its hash code. data may be changed when it returns.
func (c *Client) Add(ctx context.Context, data []byte) (Code, error) {
	code := c.class.Sum(data)
	return code, c.AddAs(ctx, code, data)
}

// AddAs is Add for callers that know the block's hash code already.
func (c *Client) AddAs(ctx context.Context, code Code, data []byte) error {
	answer, err := Add.Do(ctx, c.to, AddRequest{c.class, data})
	return sameCode(answer, code, err)
}

// Adding is a block on its way.
type Adding struct {
	Code Code // the block's
	call *stream.TypedCall[AddRequest, Code]
}

// Submit begins to add a block, so that many are on their way at a time. It
// returns when the block is queued; data may be changed then.
func (c *Client) Submit(ctx context.Context, data []byte) (Adding, error) {
	return c.SubmitAs(ctx, c.class.Sum(data), data)
}

// SubmitAs is Submit for callers that know the block's hash code already.
func (c *Client) SubmitAs(ctx context.Context, code Code, data []byte) (Adding, error) {
	call, err := Add.Submit(ctx, c.to, AddRequest{c.class, data})
	return Adding{code, call}, err
}

// Done is closed when the answer is there.
func (a Adding) Done() <-chan struct{} { return a.call.Done() }

// Wait waits until the block is stored.
func (a Adding) Wait(ctx context.Context) error {
	answer, err := a.call.Wait(ctx)
	return sameCode(answer, a.Code, err)
}

func sameCode(answer, code Code, err error) error {
	if err == nil && answer != code {
		return fmt.Errorf("%w: the block %v was stored as %v", ErrAnswer, code, answer)
	}
	return err
}

// AddMissing asks first whether the block is there, and sends it only if not.
// ("addif" of the Python package)
func (c *Client) AddMissing(ctx context.Context, data []byte) (code Code, sent bool, err error) {
	code = c.class.Sum(data)
	there, err := c.Contains(ctx, code)
	if err != nil || there {
		return code, false, err
	}
	code, err = c.Add(ctx, data)
	return code, err == nil, err
}

// Get returns a block. If it is not there the error matches ErrMissing.
func (c *Client) Get(ctx context.Context, code Code) ([]byte, error) {
	block, err := Get.Do(ctx, c.to, code)
	if err != nil {
		return nil, err
	}
	if !block.Found {
		return nil, fmt.Errorf("%v: %w", code, ErrMissing)
	}
	if got := code.class.Sum(block.Data); got != code {
		return nil, fmt.Errorf("%w: asked for the block %v, got %v", ErrAnswer, code, got)
	}
	return block.Data, nil
}

// Contains reports whether a block is there.
func (c *Client) Contains(ctx context.Context, code Code) (bool, error) {
	return Contains.Do(ctx, c.to, code)
}

// ContainsIndirect reports whether an indirect block is there with all that it
// refers to.
func (c *Client) ContainsIndirect(ctx context.Context, code Code) (bool, error) {
	return ContainsIndirect.Do(ctx, c.to, code)
}

// Flush returns when everything that was answered before is durable.
func (c *Client) Flush(ctx context.Context) error {
	_, err := Flush.Do(ctx, c.to, struct{}{})
	return err
}

// Length is the number of blocks in the store.
func (c *Client) Length(ctx context.Context) (uint64, error) {
	return Length.Do(ctx, c.to, struct{}{})
}

// HashCodes lists up to n codes in order, from the first one that is not below
// start, or that is above it with after; n is 1 at least. A zero start is none.
func (c *Client) HashCodes(ctx context.Context, start Code, after bool, n uint64) ([]Code, error) {
	w, err := c.window(start, after, n)
	if err != nil {
		return nil, err
	}
	codes, err := HashCodes.Do(ctx, c.to, w)
	if err != nil {
		return nil, err
	}
	if uint64(len(codes)) > n {
		return nil, fmt.Errorf("%w: %d hash codes, asked for %d", ErrAnswer, len(codes), n)
	}
	low := start
	for i, code := range codes {
		if err := c.within(code, low, i > 0 || after); err != nil {
			return nil, err
		}
		low = code
	}
	return codes, nil
}

// Checksum stands for the codes that HashCodes would list, to be compared with
// [ChecksumOf].
func (c *Client) Checksum(ctx context.Context, start Code, after bool, n uint64) (Checksum, error) {
	w, err := c.window(start, after, n)
	if err != nil {
		return Checksum{}, err
	}
	sum, err := HashOfHashCodes.Do(ctx, c.to, w)
	switch {
	case err != nil:
		return Checksum{}, err
	case sum.Hash.class != c.class:
		return Checksum{}, fmt.Errorf("%w: a checksum of class %v, asked for %v", ErrAnswer, sum.Hash.class, c.class)
	case !sum.Last.IsZero():
		err = c.within(sum.Last, start, after)
	}
	return sum, err
}

func (c *Client) window(start Code, after bool, n uint64) (Window, error) {
	if n < 1 {
		return Window{}, errors.New("asked for 0 hash codes, which would mean all; the least is 1")
	}
	return Window{Class: c.class, Start: start, After: after, Length: n}, nil
}

// within checks that a listed code can follow low.
func (c *Client) within(code, low Code, after bool) error {
	if code.class != c.class {
		return fmt.Errorf("%w: listed %v, asked for class %v", ErrAnswer, code, c.class)
	}
	if d := code.Compare(low); !low.IsZero() && (d < 0 || d == 0 && after) {
		return fmt.Errorf("%w: listed %v after %v", ErrAnswer, code, low)
	}
	return nil
}

// pageLength is how many codes Codes asks for at a time: an answer of 32 KiB.
const pageLength = 1000

// Codes yields all codes from start on, in order. It asks for them in pages, so
// blocks that are added meanwhile may or may not show. After an error nothing
// comes.
func (c *Client) Codes(ctx context.Context, start Code) iter.Seq2[Code, error] {
	return func(yield func(Code, error) bool) {
		for after := false; ; after = true {
			page, err := c.HashCodes(ctx, start, after, pageLength)
			if err != nil {
				yield(Code{}, err)
				return
			}
			for _, code := range page {
				if !yield(code, nil) {
					return
				}
			}
			if len(page) == 0 { // a page that is only short need not be the last
				return
			}
			start = page[len(page)-1]
		}
	}
}

// Last returns the last entry of an archive. If it has none the error matches
// ErrMissing.
func (c *Client) Last(ctx context.Context, archive ArchiveName) (entry Entry, err error) {
	last, err := ArchiveLast.Do(ctx, c.to, archive)
	if err != nil {
		return Entry{}, err
	}
	if !last.Found {
		return Entry{}, fmt.Errorf("archive %q: %w", archive, ErrMissing)
	}
	if err := entry.UnmarshalBinary(last.Entry); err != nil {
		return Entry{}, fmt.Errorf("%w: archive %q: %w", ErrAnswer, archive, err)
	}
	return entry, nil
}

// List returns all entries of an archive, the oldest first. Compare entries by
// what they say: stores may write them anew.
func (c *Client) List(ctx context.Context, archive ArchiveName) ([]Entry, error) {
	b, err := ArchiveList.Do(ctx, c.to, archive)
	if err != nil {
		return nil, err
	}
	list, err := ParseEntries(b)
	if err != nil {
		return nil, fmt.Errorf("%w: archive %q: %w", ErrAnswer, archive, err)
	}
	return list, nil
}

// Update appends an entry to an archive. When the connection is lost it may or may
// not have been appended; Last tells.
func (c *Client) Update(ctx context.Context, archive ArchiveName, entry Entry) error {
	b, err := entry.AppendBinary(nil)
	if err != nil {
		return err
	}
	_, err = ArchiveUpdate.Do(ctx, c.to, NamedEntry{archive, b})
	return err
}
