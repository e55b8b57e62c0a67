//go:build race

package tree

// raceDetector says whether the race detector watches.
const raceDetector = true
