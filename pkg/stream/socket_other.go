//go:build !unix

package stream

import "syscall"

// Without raw sockets everything goes through the stream's own Read and Write.
const haveRawSockets = false

type socketWriter struct{}

func newSocketWriter(syscall.RawConn) *socketWriter      { return nil }
func (*socketWriter) tryWrite([]byte) (n int, err error) { panic("unreachable: no raw sockets") }

type socketReader struct{}

func newSocketReader(syscall.RawConn, polls, readBuffer) *socketReader { return nil }
func (*socketReader) handled(int)                                      {}
func (*socketReader) waitRead() (n int, at moment, err error)          { panic("unreachable: no raw sockets") }
