// Package terms settles a WebRTC session: it reads a client's offer and writes the node's answer (RFC 9429, as far as an endpoint needs it that only answers).
//
// The node's part is always the same: it is ICE-lite (RFC 8445) and the DTLS server (RFC 8842), and all media goes over one transport (RFC 9143) together with its RTCP
// (RFC 5761). So whatever differs between two sessions is in the offer, and all functions here are pure.
package terms

import (
	"fmt"
	"net/netip"
)

// Direction is what the client does.
type Direction string

// The directions.
const (
	Publish Direction = "publish" // it sends, by WHIP
	Play    Direction = "play"    // it receives, by WHEP
)

// Kind is what a line is of.
type Kind uint8

// The kinds.
const (
	Audio Kind = iota + 1
	Video
	Data
)

// String is the kind as an m= line has it.
func (k Kind) String() string {
	switch k {
	case Audio:
		return "audio"
	case Video:
		return "video"
	case Data:
		return "application"
	}
	return ""
}

// Codec is one that both sides have, under the client's number.
type Codec struct {
	PT       uint8
	Mime     string // as IANA writes it: "audio/opus", "video/H264"
	Clock    uint32
	Channels uint16 // 0 for pictures
	Fmtp     string // the client's line

	feedback []string // what both have, in the order of the answer
}

// Line is one m= section of the offer.
type Line struct {
	Kind Kind // 0 for a line of something else, which the client has switched off
	Mid  string
	// Rejected is that nothing goes over it: the client has switched it off, it is of the wrong direction or outside of the bundle, there is no codec in common, or it
	// is a second line of data. It is answered with port 0, or with a=inactive when only the direction is wrong: it may be the one that names the bundle's transport.
	Rejected bool
	Codecs   []Codec // those of the node that the client has, in the client's order: never RTX, RED and FEC

	// Level (RFC 6464), MidExt (RFC 9143), RidExt and RepairedExt (RFC 8852) and Congestion (transport-wide sequence numbers) are the numbers of the header extensions
	// that a publisher sends, 0 for those it does not.
	Level, MidExt, RidExt, RepairedExt, Congestion uint8

	NACK, PLI, FIR bool // this feedback (RFC 4585, RFC 5104) has been agreed upon for one codec at least

	Rids          []string // layers of simulcast (RFC 8853) that a publisher sends, the preferred one first
	SSRCs         []uint32 // that a=ssrc lines declare, without those that repair others
	Stream, Track string   // of the client's a=msid, may be empty
	SSRC          uint32   // of what the node sends (Play): the caller sets it before it calls Answer
	MaxMessage    uint32   // of Data: how long a message to the client may be, in bytes

	media, protocol, formats string // of the m= line
	inactive                 bool   // answered as such: see Rejected
	grouped                  bool   // in the bundle
	reduced, mixed           bool   // a=rtcp-rsize and a=extmap-allow-mixed have been offered
	extensions               []extension
	layers                   string // of a=simulcast, with the tildes of paused ones; empty when it was not offered
}

// Offer is what the client says.
type Offer struct {
	Ufrag, Pwd        string // of the transport of all lines
	Lite              bool   // the client is an ICE-lite agent, too: nobody would make checks
	Hash, Fingerprint string // of its certificate: "sha-256", "AB:CD:..."
	Lines             []Line // in the order of the offer

	direction Direction
	bundle    []int // the lines that the answer accepts, the one that names the transport first
	group     bool  // the offer has a=group:BUNDLE
	mixed     bool  // a=extmap-allow-mixed for all lines
}

// Own is what the node says of itself.
type Own struct {
	Ufrag, Pwd        string
	Hash, Fingerprint string
	Candidates        []Candidate
	Stream            func(line int) (stream, track string) // Play: the ids of what is sent on a line of the offer
	CNAME             string                                // Play: of the SSRCs; empty: that of each is its stream's id
}

// Candidate is an address of the node, for component 1 (RFC 8445).
type Candidate struct {
	Addr netip.AddrPort
	TCP  bool // the client connects (RFC 6544)
}

// MaxMessage is the longest message of a data channel that the node takes, in bytes.
const MaxMessage = 16 << 10

// Error is what is wrong with an offer, for the client that made it.
type Error struct{ Reason string }

func (e *Error) Error() string { return "terms: " + e.Reason }

func refuse(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }
