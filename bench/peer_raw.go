package main

// The physical limits: no RPC at all, the same bytes.
//
//	rawtcp     one connection per caller, ping-pong of size bytes
//	rawpipe    tagged frames, pipelined and batched, echoed by one goroutine

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"time"
)

func init() {
	register("rawtcp", rawTCP{})
	register("rawpipe", rawPipe{})
}

type rawTCP struct{}

func (rawTCP) Serve(ready func(string)) error {
	return serveConns(ready, func(c net.Conn) {
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
	})
}

func (rawTCP) Dial(addr string, callers int) (func() Call, error) {
	var err error
	conns := make(chan net.Conn, callers)
	for range callers {
		c, e := net.Dial("tcp", addr)
		if e != nil {
			err = e
		}
		conns <- c
	}
	return func() Call {
		c, buf := <-conns, make([]byte, 64<<10)
		return func(req []byte) ([]byte, error) {
			if _, err := c.Write(req); err != nil {
				return nil, err
			}
			_, err := io.ReadFull(c, buf[:len(req)])
			return buf[:len(req)], err
		}
	}, err
}

// rawPipe frames are: length u32, tag u32, payload.
type rawPipe struct{}

func (rawPipe) Serve(ready func(string)) error {
	return serveConns(ready, func(c net.Conn) {
		br, bw := bufio.NewReaderSize(c, 64<<10), bufio.NewWriterSize(c, 64<<10)
		buf := make([]byte, 1<<20)
		for {
			if _, err := io.ReadFull(br, buf[:8]); err != nil {
				return
			}
			n := 8 + int(binary.LittleEndian.Uint32(buf))
			if _, err := io.ReadFull(br, buf[8:n]); err != nil {
				return
			}
			bw.Write(buf[:n])
			if br.Buffered() == 0 && bw.Flush() != nil {
				return
			}
		}
	})
}

func (rawPipe) Dial(string, int) (func() Call, error) { panic("a Piper has no callers") }

func (rawPipe) Pipe(addr string, window, size int, rec *Recorder) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	queue := make(chan uint32, window)
	start := make([]time.Duration, window)
	for i := range window {
		queue <- uint32(i)
	}
	go func() { // writer
		bw := bufio.NewWriterSize(c, 64<<10)
		frame := make([]byte, 8+size)
		binary.LittleEndian.PutUint32(frame, uint32(size))
		for tag := range queue {
			binary.LittleEndian.PutUint32(frame[4:], tag)
			start[tag] = now()
			bw.Write(frame)
			if len(queue) == 0 && bw.Flush() != nil {
				return
			}
		}
	}()
	defer close(queue)
	br := bufio.NewReaderSize(c, 64<<10)
	buf := make([]byte, 8+size)
	for !rec.Stopped() {
		if _, err := io.ReadFull(br, buf); err != nil {
			return err
		}
		tag := binary.LittleEndian.Uint32(buf[4:])
		rec.Add(now() - start[tag])
		queue <- tag
	}
	return nil
}
