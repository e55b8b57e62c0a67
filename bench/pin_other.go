//go:build !linux

package main

import (
	"errors"
	"os/exec"
)

func output(cmd *exec.Cmd, pinned bool) ([]byte, error) {
	if pinned {
		return nil, errors.New("pinning needs Linux")
	}
	return cmd.Output()
}
