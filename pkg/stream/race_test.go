//go:build race

package stream

// raceDetector says whether the race detector watches, which allocates too.
const raceDetector = true
