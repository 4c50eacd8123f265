package api

// window lets several pieces of work go on at once and hands their results over in the order
// in which they were begun, so that work that waits for a commit shares it with its neighbours.
// Pieces with the same key are done one after the other. Two goroutines use it: one begins
// pieces and ends the window, the other takes the results.
type window[R any] struct {
	begun chan *piece[R]
	// recent are the last pieces begun, a ring that belongs to the goroutine that begins
	// them. All older ones have been taken, for the channel holds no more.
	recent []*piece[R]
	n      int
}

// piece is one piece of work; result may be read when done is closed.
type piece[R any] struct {
	key    string
	done   chan struct{}
	result R
}

// newWindow returns a window of size pieces that are begun and not yet taken.
func newWindow[R any](size int) *window[R] {
	return &window[R]{begun: make(chan *piece[R], size-1), recent: make([]*piece[R], size)}
}

// begin starts a piece of work, as soon as there is room for it. An empty key is like no other.
func (w *window[R]) begin(key string, work func() R) {
	p := &piece[R]{key: key, done: make(chan struct{})}
	before := w.last(key)
	w.begun <- p
	w.recent[w.n%len(w.recent)] = p
	w.n++
	go func() {
		defer close(p.done)
		if before != nil {
			<-before.done
		}
		p.result = work()
	}()
}

// last is the last piece with a key that may still be under way.
func (w *window[R]) last(key string) *piece[R] {
	for i := 1; key != "" && i <= min(w.n, len(w.recent)); i++ {
		if p := w.recent[(w.n-i)%len(w.recent)]; p.key == key {
			return p
		}
	}
	return nil
}

// end says that no more pieces will be begun.
func (w *window[R]) end() { close(w.begun) }

// each takes the results in order until the end of the window. idle is called before it waits
// for one.
func (w *window[R]) each(idle func(), take func(R)) {
	for {
		var p *piece[R]
		var more bool
		select {
		case p, more = <-w.begun:
		default:
			idle()
			p, more = <-w.begun
		}
		if !more {
			return
		}
		select {
		case <-p.done:
		default:
			idle()
			<-p.done
		}
		take(p.result)
	}
}
