//go:build !unix

package server

import "math"

// connectionsPossible is how many connections can be open at a time. Nothing
// limits them here.
func connectionsPossible() int { return math.MaxInt32 }
