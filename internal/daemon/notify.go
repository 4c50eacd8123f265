package daemon

import (
	"fmt"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Notifications to systemd. Without systemd they do nothing; an error would have nobody to
// act on it.

func notifyReady() { _, _ = sd.SdNotify(false, sd.SdNotifyReady) }

func notifyStopping() { _, _ = sd.SdNotify(false, sd.SdNotifyStopping) }

func notifyStatus(text string) { _, _ = sd.SdNotify(false, "STATUS="+text) }

func notifyBeat() { _, _ = sd.SdNotify(false, sd.SdNotifyWatchdog) }

// notifyReloading says that a reload has begun; systemd wants the time of it.
func notifyReloading() {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return
	}
	_, _ = sd.SdNotify(false, fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", ts.Nano()/1000))
}
