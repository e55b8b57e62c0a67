//go:build !unix

package main

import "os"

// resizes never tells: the size is asked for at each interval all the same.
func resizes() (_ <-chan os.Signal, stop func()) { return nil, func() {} }
