//go:build race

package netstack

// exactRace tells whether the tests were built with the race detector.
const exactRace = true
