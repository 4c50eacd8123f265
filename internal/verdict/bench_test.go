package verdict

import (
	"fmt"
	"testing"
)

// BenchmarkFold: one observation is the hot path, a new session's webhook.
func BenchmarkFold(b *testing.B) {
	for _, n := range []int{1, 3, 30} {
		parts := []any{expected(0, 60, 1, 1), webhook(50, "live", created(40), model("m"))}
		for i := 1; i < n; i++ {
			at := float64(60 * i)
			switch i % 3 {
			case 0:
				parts = append(parts, webhook(at, "live", created(at), model("m")))
			case 1:
				parts = append(parts, job(at, "complete", "live", span(at-61, at-60)))
			default:
				parts = append(parts, submitted(at, "live"))
			}
		}
		benchmark(b, fmt.Sprint(n), evidence(parts...))
	}
	// Polled verdicts that differ without a contradiction are looked back over in vain.
	for _, n := range []int{30, 1000} {
		var parts []any
		for i := range n {
			at := float64(60 * i)
			parts = append(parts, job(at, "complete", []string{"live", "fake"}[i%2], span(at, at+1)))
		}
		benchmark(b, fmt.Sprint(n, " polled"), evidence(parts...))
	}
	var parts []any
	for i := range 3000 {
		parts = append(parts, webhook(float64(i), []string{"live", "fake"}[i%2], created(float64(i)), model("m")))
	}
	benchmark(b, "3000 verifications of one id", evidence(parts...))
}

func benchmark(b *testing.B, name string, ev Evidence) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Fold(ev)
		}
	})
}
