package rtc

import "encoding/binary"

// Kinds of records of DTLS (RFC 6347, section 4.1).
const (
	cipherRecord    = 20
	alertRecord     = 21
	handshakeRecord = 22

	recordHead = 13 // kind, version in two bytes, epoch in two, number in six, and the length in two
)

// keepRecords leaves only those records of a datagram that keep wants, by their kind and by whether they are under keys, which the first epoch is not. What is cut off goes.
func keepRecords(b []byte, keep func(kind byte, keyed bool) bool) []byte {
	kept := b[:0:0]
	for rest := b; len(rest) >= recordHead; {
		n := recordHead + int(binary.BigEndian.Uint16(rest[11:]))
		if n > len(rest) {
			break
		}
		if keep(rest[0], rest[3]|rest[4] != 0) {
			if n == len(b) {
				return b // most datagrams are one record
			}
			kept = append(kept, rest[:n]...)
		}
		rest = rest[n:]
	}
	return kept
}
