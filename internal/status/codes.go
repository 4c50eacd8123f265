package status

// Codes lists the codes of all reasons, for readers that show each of them whether it is up or
// not. A code is never taken away.
func Codes() []string {
	return []string{"account_denied", "account_unknown", "alert_failed", "api_unreachable", "backup_failed", "clock_jump",
		"config_rejected", "conflicts", "dead_letters", "disk_low", "figures_unread", "forward_stuck", "header_mismatch",
		"listener_failed", "missing_sessions", "rate_limited", "route_never_answered", "signature_failures", "silence",
		"stopped", "store_failed", "sweep_late", "unknown_word"}
}

// atOnce reports whether a reason goes away as soon as it no longer holds: somebody has dealt
// with it, and wants to see that, or it cannot come back by itself.
func atOnce(code string) bool {
	switch code {
	case "missing_sessions", "conflicts", "dead_letters", "account_unknown", "config_rejected", "backup_failed",
		"clock_jump", "alert_failed", "stopped":
		return true
	}
	return false
}

// Unready is why no delivery can be taken, nil if they can: nothing else is a reason to send
// them elsewhere, least of all a backlog or an API that does not answer.
func (r Report) Unready() *Reason {
	for i, reason := range r.Reasons {
		if reason.Over == nil && (reason.Code == "store_failed" || reason.Code == "listener_failed") {
			return &r.Reasons[i]
		}
	}
	return nil
}
