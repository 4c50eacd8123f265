package daemon

import "sync"

// tests are the test deliveries that a doctor waits for, by id.
type tests struct {
	mu      sync.Mutex
	waiting map[string]chan struct{}
}

// arrived reports whether a test is waited for, and tells whoever waits. Any other is a
// delivery like any other.
func (t *tests) arrived(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	ch, ok := t.waiting[id]
	if !ok {
		return false
	}
	select {
	case <-ch:
	default:
		close(ch)
	}
	return true
}

// wait waits for a test; forget must be called.
func (t *tests) wait(id string) (arrived <-chan struct{}, forget func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting == nil {
		t.waiting = map[string]chan struct{}{}
	}
	ch := make(chan struct{})
	t.waiting[id] = ch
	return ch, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.waiting, id)
	}
}
