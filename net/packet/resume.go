package packet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// MaxNumber is the highest number of a data package: numbers travel in JSON, too, and JavaScript's are exact up to here.
const MaxNumber = 1<<53 - 1

// MaxToken is the longest token in bytes that a server gives.
const MaxToken = 200

// maxAck is the longest body of an ack: MaxNumber in groups of 7 bits.
const maxAck = 8

// Codes of ResumeAnswer.Refused.
const (
	ResumeUnknown  = "resume_unknown"  // no such session or token: never was, expired, another node's, forged, used before
	ResumeOverflow = "resume_overflow" // more was unacknowledged than the ring holds
	ResumeReplaced = "resume_replaced" // the player has logged in elsewhere
	ResumeEnded    = "resume_ended"    // the game or the operator has ended the session
	ResumeLost     = "resume_lost"     // the node that had it is gone: what was asked may or may not have been handled, and pushes may be lost
)

// ResumeRequest is what a client that knows resume says in its handshake. The zero one asks for a new session.
type ResumeRequest struct {
	// Token is the last one that the server gave; empty for a new session. It comes from outside: one that is too long or no token at all is refused
	// in the answer, like any other that is not known.
	Token string `json:"token,omitempty"`
	// Received is how many of the session's data packages the client has received: 0 to MaxNumber.
	Received uint64 `json:"received,omitempty"`
}

func (r *ResumeRequest) check() error {
	switch {
	case r.Received > MaxNumber:
		return fmt.Errorf("sys.resume.received is %d, numbers end at %d", r.Received, uint64(MaxNumber))
	case r.Token == "" && r.Received > 0:
		return fmt.Errorf("sys.resume.received is %d without a token", r.Received)
	}
	return nil
}

// ResumeAnswer is what the server says to that.
type ResumeAnswer struct {
	// Token is for the next resume: at most MaxToken bytes of letters, digits, "-" and "_".
	Token string `json:"token"`
	// Window is how long the session waits for the client after a connection is lost, in seconds.
	Window int `json:"window"`
	// Received is how many of the session's data packages the server has received: 0 to MaxNumber.
	Received uint64 `json:"received"`
	// Resumed says that the session goes on; otherwise it is a new one.
	Resumed bool `json:"resumed"`
	// Ring is what the server keeps of its own unacknowledged data packages.
	Ring Ring `json:"ring"`
	// Refused says why a session did not go on; nil when it did, or when nobody asked for it.
	Refused *Reason `json:"refused,omitempty"`
	// Addresses are URLs of other gates that the client can come back to when this one does not answer.
	Addresses []string `json:"addresses,omitempty"`
}

// Ring is the size of a ring of unacknowledged data packages. It is full at either bound.
type Ring struct {
	Packages int `json:"packages"`
	Bytes    int `json:"bytes"`
}

func (r *ResumeAnswer) check() error {
	switch {
	case r.Token == "" || len(r.Token) > MaxToken:
		return fmt.Errorf("sys.resume.token has %d bytes, expected 1 to %d", len(r.Token), MaxToken)
	case r.Received > MaxNumber:
		return fmt.Errorf("sys.resume.received is %d, numbers end at %d", r.Received, uint64(MaxNumber))
	case r.Window < 0 || r.Ring.Packages < 0 || r.Ring.Bytes < 0:
		return fmt.Errorf("sys.resume has a window of %d s and a ring of %d packages and %d bytes", r.Window, r.Ring.Packages, r.Ring.Bytes)
	}
	return nil
}

// AppendAck appends an ack package to dst: data packages up to number have been received. number is at most MaxNumber.
// It allocates only when dst has no room.
func AppendAck(dst []byte, number uint64) []byte {
	at := len(dst)
	dst = append(dst, byte(Ack), 0, 0, 0)
	for number >= 0x80 {
		dst = append(dst, byte(number)|0x80)
		number >>= 7
	}
	dst = append(dst, byte(number))
	dst[at+3] = byte(len(dst) - at - HeaderSize)
	return dst
}

// DecodeAck reads the body of an ack package: a number of 7 bits a byte, least significant first, as short as it can be and at most MaxNumber.
// Anything else is ErrAck.
func DecodeAck(body []byte) (number uint64, err error) {
	if len(body) == 0 || len(body) > maxAck {
		return 0, fmt.Errorf("%w: a body of %d bytes, expected 1 to %d", ErrAck, len(body), maxAck)
	}
	last := len(body) - 1
	for i, b := range body {
		if (b >= 0x80) != (i < last) || (b == 0 && i == last && i > 0) {
			return 0, fmt.Errorf("%w: % x is not one number, 7 bits a byte", ErrAck, body)
		}
		number |= uint64(b&0x7f) << (7 * i)
	}
	if number > MaxNumber {
		return 0, fmt.Errorf("%w: %d, numbers end at %d", ErrAck, number, uint64(MaxNumber))
	}
	return number, nil
}

// Welcome is a handshake response that many clients get, encoded once but for what is each client's own. It may be used from any goroutine.
type Welcome struct {
	head, tail []byte // around the last field of sys
	plain      []byte // the whole package for clients without resume
	first      bool   // sys has no other fields
}

// NewWelcome encodes r, whose Sys.Resume does not count. It fails with ErrHandshake when r.User is not JSON.
func NewWelcome(r HandshakeResponse) (*Welcome, error) {
	r.Sys.Resume = nil
	plain, err := AppendHandshake(nil, r)
	if err != nil {
		return nil, err
	}
	sys, err := json.Marshal(r.Sys)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	body := plain[HeaderSize:]
	// Nothing before sys can look like it: there are only a number and a string, whose quotes are escaped.
	key := []byte(`"sys":`)
	at := bytes.Index(body, append(key, sys...)) + len(key) + len(sys) - 1
	return &Welcome{head: body[:at], tail: body[at:], plain: plain, first: len(sys) == 2}, nil
}

// Append appends the handshake package for one client; resume is nil for those that have not asked for it. It fails with ErrTooLong.
func (w *Welcome) Append(dst []byte, resume *ResumeAnswer) ([]byte, error) {
	if resume == nil {
		return append(dst, w.plain...), nil
	}
	own, err := json.Marshal(resume)
	if err != nil {
		return dst, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	const key = `,"resume":`
	skip := 0
	if w.first {
		skip = 1
	}
	n := len(w.head) + len(key) - skip + len(own) + len(w.tail)
	if n > MaxBody {
		return dst, fmt.Errorf("%w: a handshake of %d bytes, a package carries at most %d", ErrTooLong, n, MaxBody)
	}
	dst = slices.Grow(dst, HeaderSize+n)
	dst = append(dst, byte(Handshake), byte(n>>16), byte(n>>8), byte(n))
	dst = append(dst, w.head...)
	dst = append(dst, key[skip:]...)
	dst = append(dst, own...)
	return append(dst, w.tail...), nil
}
