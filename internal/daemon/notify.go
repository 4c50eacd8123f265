package daemon

import (
	"fmt"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Notifications to systemd. Without systemd they do nothing; an error would have nobody to
// act on it.

func notifyReady() { _, _ = sd.SdNotify(false, sd.SdNotifyReady) }

func notifyStopping() { _, _ = sd.SdNotify(false, sd.SdNotifyStopping) }

func notifyStatus(text string) { _, _ = sd.SdNotify(false, "STATUS="+text) }

func notifyBeat() { _, _ = sd.SdNotify(false, sd.SdNotifyWatchdog) }

// While the store is opened and migrated, systemd is asked for more time again and again.
const (
	extendEvery = 10 * time.Second
	// extendBy is how long systemd waits after the last word: three times are missed before it
	// gives up.
	extendBy = 3 * extendEvery
)

// extendTimeout asks systemd for more time to start until the returned function is called.
// What it is for must have a limit of its own.
func extendTimeout() (stop func()) {
	tick := time.NewTicker(extendEvery)
	done := make(chan struct{})
	go func() {
		defer tick.Stop()
		for {
			notifyExtend()
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

func notifyExtend() {
	_, _ = sd.SdNotify(false, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", extendBy.Microseconds()))
}

// notifyReloading says that a reload has begun; systemd wants the time of it.
func notifyReloading() {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return
	}
	_, _ = sd.SdNotify(false, fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", ts.Nano()/1000))
}
