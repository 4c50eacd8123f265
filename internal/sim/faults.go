package sim

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault is one bad habit that is on. Its text form is NAME[=VALUE][:SHARE].
type Fault struct {
	Name  string
	Value string
	Share float64 // of the requests it strikes, above 0, at most 1
}

func (f Fault) String() string {
	s := f.Name
	if f.Value != "" {
		s += "=" + f.Value
	}
	if f.Share < 1 {
		s += ":" + strconv.FormatFloat(f.Share, 'f', -1, 64)
	}
	return s
}

// shareSuffix needs a decimal point, so that the port of a redirect's URL is
// not taken for a share.
var shareSuffix = regexp.MustCompile(`:([01]?\.[0-9]+|1\.)$`)

// ParseFaults reads a comma-separated list. An unknown name is an error that
// lists the known ones.
func ParseFaults(list string) ([]Fault, error) {
	var faults []Fault
	for text := range strings.SplitSeq(list, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		f, err := ParseFault(text)
		if err != nil {
			return nil, err
		}
		faults = append(faults, f)
	}
	return faults, nil
}

// ParseFault reads one fault.
func ParseFault(text string) (Fault, error) {
	f := Fault{Share: 1}
	rest := text
	if at := shareSuffix.FindStringIndex(text); at != nil {
		rest = text[:at[0]]
		f.Share, _ = strconv.ParseFloat(text[at[0]+1:], 64) // the pattern lets only numbers through
	}
	f.Name, f.Value, _ = strings.Cut(rest, "=")
	if f.Share <= 0 || f.Share > 1 {
		return Fault{}, fmt.Errorf("fault %s: the share must be above 0 and at most 1", text)
	}
	kind, ok := kindOf(f.Name)
	if !ok {
		return Fault{}, unknownFault(f.Name)
	}
	if err := kind.check(f.Value); err != nil {
		return Fault{}, fmt.Errorf("fault %s: %w", text, err)
	}
	return f, nil
}

func unknownFault(name string) error {
	if name == "expired-cert" {
		return fmt.Errorf("fault expired-cert belongs to the listener: start serve with --tls-expired")
	}
	return fmt.Errorf("unknown fault %q; the faults are %s", name, strings.Join(FaultNames(), ", "))
}

// FaultNames lists the names, each with the form of its value.
func FaultNames() []string {
	var names []string
	for _, k := range faultKinds() {
		names = append(names, k.name+k.form)
	}
	return names
}

// faultSet is the switchboard. The random source is its own, so that a seed
// repeats a run's strikes.
type faultSet struct {
	mu   sync.Mutex
	on   []Fault
	hits map[string]int // strikes of each fault since it was set
	rng  *rand.Rand
}

func newFaultSet(seed uint64, faults []Fault) *faultSet {
	s := &faultSet{rng: rand.New(rand.NewPCG(seed, 0))}
	s.set(faults)
	return s
}

func (s *faultSet) set(faults []Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on, s.hits = slices.Clone(faults), map[string]int{}
}

func (s *faultSet) list() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.on)
}

// roll says whether a fault strikes now; a share of 0 in a Fault built by hand
// means always. It needs the lock.
func (s *faultSet) roll(f Fault) bool {
	if f.Share > 0 && f.Share < 1 && s.rng.Float64() >= f.Share {
		return false
	}
	s.hits[f.Name]++
	return true
}

// strike rolls every fault for one request and returns those that hit, in the
// order of the catalogue: that order, not the caller's, decides who replaces
// and who changes first.
func (s *faultSet) strike(now time.Time, r *http.Request) strikes {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.on) == 0 {
		return nil
	}
	var hit strikes
	for _, kind := range faultKinds() {
		for _, f := range s.on {
			if f.Name == kind.name && s.roll(f) {
				hit = append(hit, strike{kind, call{now, r, f.Value, s.hits[f.Name]}})
			}
		}
	}
	return hit
}

// deliveries rolls the two faults that concern webhooks.
func (s *faultSet) deliveries() (skew time.Duration, off bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.on {
		switch f.Name {
		case "webhooks-off":
			off = s.roll(f) || off
		case "clock-skew":
			if s.roll(f) {
				skew, _ = time.ParseDuration(f.Value) // checked by ParseFault
			}
		}
	}
	return skew, off
}

// call is what a fault knows of the request it strikes.
type call struct {
	now   time.Time
	r     *http.Request
	value string
	hit   int // 1 for the first strike of this fault
}

type strike struct {
	kind faultKind
	call call
}

type strikes []strike

// replace returns the first answer that takes the place of the right one.
func (hit strikes) replace() *answer {
	for _, s := range hit {
		if s.kind.replace != nil {
			if a := s.kind.replace(s.call); a != nil {
				return a
			}
		}
	}
	return nil
}

func (hit strikes) change(a *answer) {
	for _, s := range hit {
		if s.kind.change != nil {
			s.kind.change(s.call, a)
		}
	}
}
