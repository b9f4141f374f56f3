package mesh

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/skua-go/skua/cluster"
)

// A batch is what one NATS message has: a head of fixed fields, and frames behind it.
//
//	0   version, 1
//	1   flags
//	2   link of the sender, 8 bytes: a random number for each time that it has begun anew
//	10  number of the batch in that link, from 1; 0 for one that is not counted and has no frames
//	18  link of the receiver of which this acknowledges batches; 0 for none
//	26  number of the last batch of that link that was taken
//	34  incarnation of the sender
//	42  length of the sender's name, and the name
//
// Numbers are little-endian. Each frame is its length as a uvarint, and as many bytes, of which the first is its kind.
const (
	batchVersion = 1

	atFlags       = 1
	atLink        = 2
	atNumber      = 10
	atAckLink     = 18
	atAck         = 26
	atIncarnation = 34
	atName        = 42
)

// Flags of a batch.
const (
	flagAgain byte = 1 << iota // what came behind the acknowledged batch had a gap before it: send from there again
	flagReset                  // the receiver of this batch sends within a link, the acknowledged one, that its receiver does not know: begin anew
	flagKnown                  // batches of the sender's link have been acknowledged: whoever does not know it has lost it
)

// head is what a batch begins with.
type head struct {
	flags       byte
	link        uint64
	number      uint64
	ackLink     uint64
	ack         uint64
	incarnation uint64
	name        []byte
}

var (
	errVersion = errors.New("version")
	errHead    = errors.New("head")
	errFrame   = errors.New("frame")
)

// appendHead begins a batch of the node. What differs from batch to batch is set by setHead.
func appendHead(dst []byte, name string, incarnation uint64) []byte {
	dst = append(dst, make([]byte, atName)...)
	h := dst[len(dst)-atName:]
	h[0] = batchVersion
	binary.LittleEndian.PutUint64(h[atIncarnation:], incarnation)
	return append(append(dst, byte(len(name))), name...)
}

func setHead(batch []byte, flags byte, link, number, ackLink, ack uint64) {
	batch[atFlags] = flags
	binary.LittleEndian.PutUint64(batch[atLink:], link)
	binary.LittleEndian.PutUint64(batch[atNumber:], number)
	binary.LittleEndian.PutUint64(batch[atAckLink:], ackLink)
	binary.LittleEndian.PutUint64(batch[atAck:], ack)
}

// parseHead reads the head of a batch; frames is what is behind it.
func parseHead(batch []byte) (h head, frames []byte, err error) {
	switch {
	case len(batch) == 0 || batch[0] != batchVersion:
		return h, nil, errVersion
	case len(batch) <= atName:
		return h, nil, fmt.Errorf("%w: %d bytes", errHead, len(batch))
	}
	n := int(batch[atName])
	rest := batch[atName+1:]
	if n > len(rest) {
		return h, nil, fmt.Errorf("%w: the name has %d bytes, there are %d", errHead, n, len(rest))
	}
	h = head{
		flags: batch[atFlags], link: binary.LittleEndian.Uint64(batch[atLink:]), number: binary.LittleEndian.Uint64(batch[atNumber:]),
		ackLink: binary.LittleEndian.Uint64(batch[atAckLink:]), ack: binary.LittleEndian.Uint64(batch[atAck:]),
		incarnation: binary.LittleEndian.Uint64(batch[atIncarnation:]), name: rest[:n:n],
	}
	if h.link == 0 || h.incarnation == 0 || cluster.CheckName(string(h.name)) != nil {
		return h, nil, fmt.Errorf("%w: link %d of incarnation %d of %q", errHead, h.link, h.incarnation, h.name)
	}
	return h, rest[n:], nil
}

// nextFrame cuts the first frame off.
func nextFrame(data []byte) (frame, rest []byte, err error) {
	n, used := binary.Uvarint(data)
	if used <= 0 || n == 0 || n > uint64(len(data)-used) {
		return nil, nil, fmt.Errorf("%w: its length is %d, %d bytes are left", errFrame, n, len(data))
	}
	end := used + int(n)
	return data[used:end:end], data[end:], nil
}

// subjectOf is where the batches for an incarnation of a node go. A name is one token of a subject, see cluster.CheckName.
func subjectOf(name string, incarnation uint64) string {
	return fmt.Sprintf("skua.n.%s.%d", name, incarnation)
}
