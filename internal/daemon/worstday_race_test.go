//go:build race

package daemon

// raceEnabled leaves out the tests whose length shows nothing more about races: the race
// detector makes SQLite ten times as slow.
const raceEnabled = true
