package main

// yamux: a stream per request on one connection, length-prefixed.

import (
	"encoding/binary"
	"io"
	"net"
	"time"

	"github.com/hashicorp/yamux"
)

func init() { register("yamux", yamuxPeer{}) }

type yamuxPeer struct{}

func yamuxConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.AcceptBacklog, c.LogOutput, c.EnableKeepAlive = 4096, io.Discard, false
	c.StreamOpenTimeout, c.StreamCloseTimeout = time.Minute, time.Minute
	return c
}

func (yamuxPeer) Serve(ready func(string)) error {
	return serveConns(ready, func(c net.Conn) {
		s, err := yamux.Server(c, yamuxConfig())
		if err != nil {
			return
		}
		for {
			st, err := s.AcceptStream()
			if err != nil {
				return
			}
			go func() {
				defer st.Close()
				if b, err := readFrame(st, nil); err == nil {
					_, _ = st.Write(b)
				}
			}()
		}
	})
}

// readFrame reads a length and as many bytes, into buf if it is large enough.
func readFrame(r io.Reader, buf []byte) ([]byte, error) {
	if cap(buf) < 4 {
		buf = make([]byte, 1024)
	}
	if _, err := io.ReadFull(r, buf[:4]); err != nil {
		return nil, err
	}
	n := 4 + int(binary.LittleEndian.Uint32(buf[:4]))
	if cap(buf) < n {
		buf = append(make([]byte, 0, n), buf[:4]...)
	}
	_, err := io.ReadFull(r, buf[4:n])
	return buf[:n], err
}

func (yamuxPeer) Dial(addr string, _ int) (func() Call, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	s, err := yamux.Client(c, yamuxConfig())
	return func() Call {
		var wbuf, rbuf []byte
		return func(req []byte) ([]byte, error) {
			st, err := s.OpenStream()
			if err != nil {
				return nil, err
			}
			defer st.Close()
			wbuf = append(binary.LittleEndian.AppendUint32(wbuf[:0], uint32(len(req))), req...)
			if _, err := st.Write(wbuf); err != nil {
				return nil, err
			}
			if rbuf, err = readFrame(st, rbuf); err != nil {
				return nil, err
			}
			return rbuf[4:], nil
		}
	}, err
}
