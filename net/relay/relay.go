// Package relay carries the frames of a stream from one node to another, over a TCP connection of their own: a viewer's on one side, a publisher's on the other.
//
// Nobody but nodes of the cluster speaks it. Both sides prove that they have the cluster's key (HMAC-SHA256 over both sides' random bytes and what is asked for), and who dials shows the ticket that
// it was given for one stream, by way of the cluster's messages. Frames are not encrypted unless the connection is.
//
// The link is a viewer like any: it begins at the newest key frame, one that is too slow skips to the next, and one that takes nothing is closed. A link that was cut goes on behind the last frame that
// came through, if the stream still has the next one.
//
// On the wire, big endian:
//
//	listener   "SKUAML1\n", 32 random bytes
//	dialer     "SKUAML1\n", 32 random bytes, length of the request (2), the request as JSON, MAC (32)
//	listener   MAC (32), 0 or 1: no or yes, length of why not (2), why not
//	then messages: type (1), length (4), body
package relay

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Why a link ends, beside what its stream says. They come wrapped, with what concerned.
var (
	// ErrPeer: the other side is no node of this cluster, or of another version.
	ErrPeer = errors.New("relay: not a node of this cluster")
	// ErrRefused: the other side does not have what the ticket was for any more.
	ErrRefused = errors.New("relay: refused")
	// ErrSilent: nothing came for too long.
	ErrSilent = errors.New("relay: the other node is silent")
	// ErrEnded: the other side has ended the link, and says why.
	ErrEnded = errors.New("relay: ended by the other node")
	// ErrFormat: what came is no message.
	ErrFormat = errors.New("relay: bad message")
	// ErrStopping: the node stops.
	ErrStopping = errors.New("relay: the node stops")
)

// Times of a link.
const (
	// beat is how often a side says something, if only that it is there.
	beat = 500 * time.Millisecond
	// silence is how long nothing may come. It is longer than a busy node's pauses and short enough that viewers of a node that has died go on soon.
	silence = 3 * time.Second
	// setup is how long both sides may take until frames go. A connection attempt that the network swallows is made anew after it, so it is also how late the end of a cut may be noticed.
	setup = 1500 * time.Millisecond
)

const (
	magic      = "SKUAML1\n"
	nonceSize  = 32
	maxRequest = 1 << 10
	maxReason  = 512
)

// Request is what a dialer asks for.
type Request struct {
	// From is the name of its node, for logs.
	From string `json:"from"`
	// Room and Ticket are what it was told.
	Room   string `json:"room"`
	Ticket string `json:"ticket"`
	// After is the Seq of the last frame of the stream that it has, 0: none.
	After uint64 `json:"after,omitempty"`
}

func mac(key []byte, side string, listener, dialer, request []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(side))
	m.Write(listener)
	m.Write(dialer)
	m.Write(request)
	return m.Sum(nil)
}

// greet begins the listener's side.
func greet(conn net.Conn) (nonce []byte, err error) {
	nonce = make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // it never fails
	_, err = conn.Write(append([]byte(magic), nonce...))
	return nonce, err
}

// hear reads what a dialer wants. Nothing is believed, or kept, before the MAC was checked. proof is what shows the dialer that the listener has the key.
func hear(conn net.Conn, key, nonce []byte) (r Request, proof []byte, err error) {
	var head [len(magic) + nonceSize + 2]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return r, nil, err
	}
	size := int(binary.BigEndian.Uint16(head[len(head)-2:]))
	if string(head[:len(magic)]) != magic || size > maxRequest {
		return r, nil, fmt.Errorf("%w: it does not begin as one", ErrPeer)
	}
	theirs := head[len(magic) : len(magic)+nonceSize]
	body := make([]byte, size+sha256.Size)
	if _, err := io.ReadFull(conn, body); err != nil {
		return r, nil, err
	}
	text, sum := body[:size], body[size:]
	if !hmac.Equal(sum, mac(key, "dialer", nonce, theirs, text)) {
		return r, nil, fmt.Errorf("%w: it does not have the same cluster.secret", ErrPeer)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, nil, fmt.Errorf("%w: the request: %w", ErrFormat, err)
	}
	return r, mac(key, "listener", nonce, theirs, text), nil
}

// answer tells a dialer whether it gets what it wants.
func answer(conn net.Conn, proof []byte, refused error) error {
	b := append([]byte(nil), proof...)
	if refused == nil {
		b = append(b, 1, 0, 0)
	} else {
		text := refused.Error()
		text = text[:min(len(text), maxReason)]
		b = binary.BigEndian.AppendUint16(append(b, 0), uint16(len(text)))
		b = append(b, text...)
	}
	_, err := conn.Write(b)
	return err
}

// ask is the dialer's side.
func ask(conn net.Conn, key []byte, r Request) error {
	var head [len(magic) + nonceSize]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	if string(head[:len(magic)]) != magic {
		return fmt.Errorf("%w: it does not begin as one", ErrPeer)
	}
	theirs, ours := head[len(magic):], make([]byte, nonceSize)
	_, _ = rand.Read(ours) // it never fails
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	b := append([]byte(magic), ours...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	b = append(append(b, text...), mac(key, "dialer", theirs, ours, text)...)
	if _, err := conn.Write(b); err != nil {
		return err
	}
	var said [sha256.Size + 3]byte
	if _, err := io.ReadFull(conn, said[:]); err != nil {
		return err
	}
	if !hmac.Equal(said[:sha256.Size], mac(key, "listener", theirs, ours, text)) {
		return fmt.Errorf("%w: it does not have the same cluster.secret", ErrPeer)
	}
	if said[sha256.Size] == 1 {
		return nil
	}
	why := make([]byte, min(int(binary.BigEndian.Uint16(said[sha256.Size+1:])), maxReason))
	if _, err := io.ReadFull(conn, why); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrRefused, why)
}
