package main

import (
	"fmt"
	"strings"
)

// cell is one kind of load.
type cell struct {
	Size    int  `json:"size"`    // bytes
	Callers int  `json:"callers"` // of each connection
	Conns   int  `json:"conns"`
	Pinned  bool `json:"pinned,omitempty"` // both processes run on one CPU
}

// defaultCells are those of which the goals speak. A lone caller is pinned: where
// wake-ups across CPUs are dear it is fast or slow by the placement it has drawn.
const defaultCells = "16x1x1p,16x64x1,16x1024x1,1024x64x1,1024x1024x1,65536x1x1,65536x64x1,1024x16x64"

func parseCell(spec string) (c cell, err error) {
	rest, pinned := strings.CutSuffix(spec, "p")
	c.Pinned = pinned
	if _, err := fmt.Sscanf(rest, "%dx%dx%d", &c.Size, &c.Callers, &c.Conns); err != nil || c.Size < 0 || c.Callers < 1 || c.Conns < 1 {
		return c, fmt.Errorf("cell %q: want SIZExCALLERSxCONNECTIONS, such as 16x64x1", spec)
	}
	return c, nil
}

func (c cell) String() string {
	size := fmt.Sprintf("%d B", c.Size)
	if c.Size >= 1024 && c.Size%1024 == 0 {
		size = fmt.Sprintf("%d KiB", c.Size/1024)
	}
	text := fmt.Sprintf("%s, %d × %d", size, c.Conns, c.Callers)
	if c.Pinned {
		text += ", one CPU"
	}
	return text
}

// suits says whether a peer makes sense on a cell: rawtcp is one caller's.
func (c cell) suits(peer string) bool { return peer != "rawtcp" || c.Callers == 1 && c.Conns == 1 }
