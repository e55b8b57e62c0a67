package logging

import (
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// maxRecentLine bounds a line that [Recent] keeps, in bytes. Of longer ones the
// texts are cut; if that is not enough, there is the message alone.
const maxRecentLine = 8 << 10

// How much of a text a line keeps that is too long. Stacks are worth more than
// what peers may have sent.
const maxRecentText, maxRecentStack = 512, 4 << 10

// Recent keeps the last lines of a log in memory, so that they can be looked
// through where the log itself is out of reach. Its methods may be called
// concurrently; they do not block. It holds at most 8 KiB for each line.
type Recent struct {
	mu    sync.Mutex // guards the ring; held for a copy
	lines [][]byte   // JSON objects, never changed once they are here
	next  int        // overwritten next, once the ring is full
	max   int
}

// NewRecent makes one that keeps so many lines, at least 1.
func NewRecent(lines int) *Recent { return &Recent{max: max(lines, 1)} }

// Core is what writes lines into r: tee it with the core of a logger.
func (r *Recent) Core(enabled zapcore.LevelEnabler) zapcore.Core {
	encoder, err := newEncoder("json")
	if err != nil {
		return zapcore.NewNopCore() // never: the encoding is known
	}
	return &recentCore{LevelEnabler: enabled, encoder: encoder, recent: r}
}

// Lines returns the lines that are kept, the latest first, each a JSON object as
// a logger with the encoding json writes it. The bytes must not be changed.
func (r *Recent) Lines() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([][]byte, 0, len(r.lines))
	for i := range r.lines {
		list = append(list, r.lines[(r.next+len(r.lines)-1-i)%len(r.lines)])
	}
	return list
}

func (r *Recent) add(line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) < r.max {
		r.lines = append(r.lines, line)
		return
	}
	r.lines[r.next] = line
	r.next = (r.next + 1) % r.max
}

// recentCore encodes lines for a Recent.
type recentCore struct {
	zapcore.LevelEnabler
	encoder zapcore.Encoder
	recent  *Recent
}

// With returns a core that adds the fields to every line.
func (c *recentCore) With(fields []zapcore.Field) zapcore.Core {
	encoder := c.encoder.Clone()
	for _, f := range fields {
		f.AddTo(encoder)
	}
	return &recentCore{c.LevelEnabler, encoder, c.recent}
}

// Check adds the core to what writes the entry.
func (c *recentCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write keeps the line.
func (c *recentCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	line, err := c.encode(c.encoder, e, fields)
	if err == nil && len(line) > maxRecentLine {
		e.Message, e.Stack = cut(e.Message, maxRecentText), ""
		line, err = c.encode(c.encoder, e, append(shorten(fields), zap.Bool("cut", true)))
	}
	if err == nil && len(line) > maxRecentLine { // of what With has added, or of escapes
		bare, _ := newEncoder("json")
		line, err = c.encode(bare, e, []zapcore.Field{zap.Bool("cut", true)})
	}
	if err != nil {
		return err
	}
	c.recent.add(line)
	return nil
}

func (c *recentCore) encode(encoder zapcore.Encoder, e zapcore.Entry, fields []zapcore.Field) ([]byte, error) {
	buffer, err := encoder.EncodeEntry(e, fields)
	if err != nil {
		return nil, err
	}
	defer buffer.Free()
	return append([]byte(nil), buffer.Bytes()...), nil
}

// shorten cuts the texts among fields, and leaves out what may be long in other
// ways.
func shorten(fields []zapcore.Field) []zapcore.Field {
	var short []zapcore.Field
	for _, f := range fields {
		limit := maxRecentText
		if f.Key == "stack" {
			limit = maxRecentStack
		}
		switch f.Type {
		case zapcore.StringType:
			f.String = cut(f.String, limit)
		case zapcore.ByteStringType:
			f = zap.String(f.Key, cut(string(f.Interface.([]byte)), limit))
		case zapcore.ErrorType:
			f = zap.String(f.Key, cut(f.Interface.(error).Error(), limit))
		case zapcore.ArrayMarshalerType, zapcore.ObjectMarshalerType, zapcore.InlineMarshalerType,
			zapcore.ReflectType, zapcore.BinaryType, zapcore.StringerType:
			continue
		}
		short = append(short, f)
	}
	return short
}

func cut(text string, limit int) string { return text[:min(len(text), limit)] }

// Sync does nothing.
func (c *recentCore) Sync() error { return nil }
