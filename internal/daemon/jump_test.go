package daemon

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/config"
)

// After a jump of the clock the jobs are planned anew: what was planned by the old time
// would not come for as long as the clock was set back.
func TestJumpPlansAnew(t *testing.T) {
	log := &syncBuffer{}
	d := &daemon{log: slog.New(slog.NewTextHandler(log, nil)), guard: newClockGuard(time.Now(), time.Time{}),
		cfg: &config.Config{Poll: config.Poll{Schedule: "* * * * *"}, Retention: config.Retention{Schedule: "@every 1h"},
			Backup: config.Backup{Schedule: "@every 1h"}}}
	d.clock = newClock(context.Background(), d.log)
	if err := d.plan(); err != nil {
		t.Fatal(err)
	}
	before := d.plans
	d.lookAtClock(time.Now())
	if d.plans != before {
		t.Fatal("planned anew without a jump")
	}
	d.guard.mono = d.guard.mono.Add(-time.Hour) // as if an hour had passed that the wall clock does not show
	d.lookAtClock(time.Now())
	if d.plans == before {
		t.Fatalf("not planned anew after a jump:\n%s", log)
	}
	if n := len(d.clock.cron.Entries()); n != 3 {
		t.Errorf("%d jobs are planned, want 3", n)
	}
	if !d.guard.inDoubt() {
		t.Error("the clock is not in doubt")
	}
}
