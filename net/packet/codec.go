package packet

import (
	"fmt"
	"strings"
)

// The names of codecs.
const (
	CodecPomelo = "pomelo" // packages and messages, as in this package's functions
	CodecSkynet = "skynet" // 2 bytes of big-endian length, then the body: Skynet's gateserver and netpack
	CodecLine   = "line"   // text up to a line feed, with or without a carriage return before it: Skynet's socket.readline
	CodecRaw    = "raw"    // whatever arrives
)

// DataRoute is the route of all messages of codecs that have no routes.
const DataRoute = "data"

// Codec is how the connections of a gate carry messages: Split cuts the stream into frames, Decode tells what a frame is for, Message reads the message
// in it, and Append writes one. No codec keeps anything of a connection, and all methods may be called from any goroutine.
//
// A bare codec's frames are bodies and nothing else. Its Decode takes each for a Data package, and its Message for a Request of DataRoute with id 0, so
// that what the handler answers goes back. It has no handshake, heartbeats, ids, routes, acks, kicks and errors.
type Codec interface {
	// Name is one of the names above.
	Name() string
	// Bare tells whether frames are bodies and nothing else.
	Bare() bool
	// MaxFrame is the longest frame that Split accepts, in bytes, with all that is around the body.
	MaxFrame() int
	// Split returns a function that cuts a byte stream into whole frames, as the function Split does. It keeps no state: one will do for all connections.
	Split() func(data []byte) (advance int, frame []byte, err error)
	// Decode reads one whole frame as Split cuts it. The body aliases frame.
	Decode(frame []byte) (Packet, error)
	// Message reads the body of a Data package. Its body aliases the argument unless it was compressed. A route that is in the dictionary, or learned,
	// costs no allocation.
	Message(body []byte) (Message, error)
	// Append appends m as a frame of its own. On an error dst is returned as it was. Bare codecs append the body, whatever the type, and of an error message
	// nothing, since there is no form for it. It allocates only when dst has no room or the body is compressed.
	Append(dst []byte, m Message) ([]byte, error)
	// AppendKick appends what tells the other end why the connection is closed; bare codecs append nothing.
	AppendKick(dst []byte, r Reason) []byte
	// Learn makes the decoding of a route cheap. It is to be called with routes that somebody handles, never with all that clients send: the table is bounded,
	// and what comes when it is full is not learned.
	Learn(route string)
}

// CodecConfig is what codecs need to know.
type CodecConfig struct {
	// MaxBody is the longest body of a package or frame that is accepted, in bytes, also when inflated. 0 and whatever is more than the codec can carry:
	// as much as it can, which is MaxBody with pomelo and line, 65,535 with skynet and 64 KiB at a time with raw.
	MaxBody int
	// Routes is the dictionary of pomelo; nil is the empty one.
	Routes *Routes
	// GzipFrom is how many bytes a body has at least that pomelo's Append compresses for those that ask with Message.Gzip; 0: none.
	GzipFrom int
}

// NewCodec returns the codec of that name, or ErrCodec.
func NewCodec(name string, cfg CodecConfig) (Codec, error) {
	switch name {
	case CodecPomelo:
		return newPomelo(cfg), nil
	case CodecSkynet:
		return skynet{bare{limit(cfg.MaxBody, maxSkynet)}}, nil
	case CodecLine:
		return line{bare{limit(cfg.MaxBody, MaxBody)}}, nil
	case CodecRaw:
		return raw{bare{limit(cfg.MaxBody, maxRaw)}}, nil
	}
	return nil, fmt.Errorf("%w %q, expected one of %s", ErrCodec, name, strings.Join([]string{CodecPomelo, CodecSkynet, CodecLine, CodecRaw}, ", "))
}

func limit(wanted, most int) int {
	if wanted <= 0 || wanted > most {
		return most
	}
	return wanted
}

type pomelo struct {
	maxBody  int
	routes   *Routes
	gzipFrom int
	learned  *learned
}

func newPomelo(cfg CodecConfig) *pomelo {
	return &pomelo{maxBody: limit(cfg.MaxBody, MaxBody), routes: cfg.Routes, gzipFrom: cfg.GzipFrom, learned: newLearned()}
}

func (*pomelo) Name() string { return CodecPomelo }

func (*pomelo) Bare() bool { return false }

func (p *pomelo) MaxFrame() int { return p.maxBody + HeaderSize }

func (p *pomelo) Split() func([]byte) (int, []byte, error) { return Split(p.maxBody) }

func (*pomelo) Decode(frame []byte) (Packet, error) { return Decode(frame) }

func (p *pomelo) Message(body []byte) (Message, error) {
	return decodeMessage(body, p.routes, p.learned, p.maxBody)
}

func (p *pomelo) Append(dst []byte, m Message) ([]byte, error) {
	m.Gzip = m.Gzip && p.gzipFrom > 0 && len(m.Body) >= p.gzipFrom && len(m.Body) <= MaxBody // nobody would inflate more
	return AppendData(dst, m, p.routes)
}

func (*pomelo) AppendKick(dst []byte, r Reason) []byte { return AppendKick(dst, r) }

func (p *pomelo) Learn(route string) { p.learned.learn(route) }
