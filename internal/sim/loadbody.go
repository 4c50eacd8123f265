package sim

import (
	"bytes"
	"fmt"
)

// LoadID is the id of the n-th session of a load: a UUID of version 4 that n alone decides and
// that looks drawn at random, so that a store filled beforehand and a load can mean the same
// sessions, and neighbours are far apart in an index.
func LoadID(n uint64) string {
	hi, lo := scatter(2*n), scatter(2*n+1)
	hi = hi&^0xf000 | 0x4000       // version 4
	lo = lo&^(0b11<<62) | 0b10<<62 // the variant of RFC 9562
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", hi>>32, hi>>16&0xffff, hi&0xffff, lo>>48, lo&0xffffffffffff)
}

// scatter maps numbers one to one to numbers without visible order: odd multiplications and
// xor-shifts can both be undone. The constants are those of SplitMix64.
func scatter(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// loadSizeMin is the least size of a body: what a completed verification says.
const loadSizeMin = 400

// loadBody is the delivery of a finished verification, padded to about a size.
func loadBody(s Session, size int) []byte {
	body := webhookBody(s)
	// What is missing goes where a customer's own data go.
	const empty = `"tenant_metadata":null`
	if pad := size - len(body) - len(`{"note":""}`) + len("null"); pad > 0 {
		note := append([]byte(`"tenant_metadata":{"note":"`), bytes.Repeat([]byte{'x'}, pad)...)
		body = bytes.Replace(body, []byte(empty), append(note, `"}`...), 1)
	}
	return body
}
