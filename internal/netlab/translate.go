package netlab

import "encoding/binary"

// The directions.
const (
	up   = 0 // to the server
	down = 1
)

// Of IPv4, RFC 791.
const (
	minHeader   = 20
	protocolAt  = 9
	sumAt       = 10
	sourceAt    = 12
	protocolTCP = 6
	protocolUDP = 17
	tcpSumAt    = 16 // RFC 9293
	udpSumAt    = 6  // RFC 768
)

// translate gives a packet from one end the addresses under which it comes to the other; false is one that belongs to neither.
func translate(p []byte, client byte) (dir int, ok bool) {
	if len(p) < minHeader || p[0]>>4 != 4 {
		return 0, false
	}
	header := int(p[0]&15) * 4
	if len(p) < header || header < minHeader {
		return 0, false
	}
	source, to := p[sourceAt:sourceAt+4], p[sourceAt+4:sourceAt+8]
	if !ours(source) || !ours(to) || source[3] != local {
		return 0, false
	}
	before := sum(p[sourceAt : sourceAt+8])
	switch to[3] {
	case server:
		source[3], to[3], dir = client, local, up
	case client:
		source[3], to[3], dir = server, local, down
	default:
		return 0, false
	}
	change := sum(p[sourceAt:sourceAt+8]) + ^before&0xffff
	update(p[sumAt:], change)
	fragment := binary.BigEndian.Uint16(p[6:])&0x1fff != 0
	body := p[header:]
	switch {
	case fragment: // the sum is in the first one
	case p[protocolAt] == protocolTCP && len(body) >= tcpSumAt+2:
		update(body[tcpSumAt:], change)
	case p[protocolAt] == protocolUDP && len(body) >= udpSumAt+2 && binary.BigEndian.Uint16(body[udpSumAt:]) != 0:
		update(body[udpSumAt:], change)
	}
	return dir, true
}

func ours(a []byte) bool { return a[0] == 10 && a[1] == prefix && a[2] == 0 }

// sum adds up 16-bit words in ones' complement.
func sum(b []byte) uint32 {
	var s uint32
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	return fold(s)
}

func fold(s uint32) uint32 {
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return s
}

// update changes a checksum as its addends have changed (RFC 1624, equation 3).
func update(b []byte, change uint32) {
	was := uint32(^binary.BigEndian.Uint16(b))
	binary.BigEndian.PutUint16(b, ^uint16(fold(was+change)))
}
