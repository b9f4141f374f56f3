package packet

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Bounds of what bare codecs carry.
const (
	skynetHeader = 2
	maxSkynet    = 1<<16 - 1 // what its length holds
	maxRaw       = 64 << 10
	maxEnd       = 2 // of a line: carriage return and line feed
)

// bare is what the codecs have in common whose frames are bodies and nothing else.
type bare struct{ maxBody int }

func (bare) Bare() bool { return true }

func (bare) Message(body []byte) (Message, error) {
	return Message{Type: Request, Route: DataRoute, Body: body}, nil
}

func (bare) AppendKick(dst []byte, _ Reason) []byte { return dst }

func (bare) Learn(string) {}

// skynet is Skynet's: lualib-src/lua-netpack.c ("Each package is uint16 + data, uint16 (serialized in big-endian)") and lualib/snax/gateserver.lua.
type skynet struct{ bare }

func (skynet) Name() string { return CodecSkynet }

func (s skynet) MaxFrame() int { return s.maxBody + skynetHeader }

func (s skynet) Split() func([]byte) (int, []byte, error) {
	maxBody := s.maxBody
	return func(data []byte) (int, []byte, error) {
		if len(data) < skynetHeader {
			return 0, nil, nil
		}
		n := int(binary.BigEndian.Uint16(data))
		if n > maxBody {
			return 0, nil, fmt.Errorf("%w: a frame announces %d bytes, at most %d are accepted", ErrTooLong, n, maxBody)
		}
		if len(data) < skynetHeader+n {
			return 0, nil, nil
		}
		return skynetHeader + n, data[: skynetHeader+n : skynetHeader+n], nil
	}
}

func (skynet) Decode(frame []byte) (Packet, error) {
	if len(frame) < skynetHeader {
		return Packet{}, fmt.Errorf("%w: a frame of %d bytes, its length has %d", ErrTruncated, len(frame), skynetHeader)
	}
	n, body := int(binary.BigEndian.Uint16(frame)), frame[skynetHeader:]
	switch {
	case len(body) < n:
		return Packet{}, fmt.Errorf("%w: a frame announces %d bytes, found %d", ErrTruncated, n, len(body))
	case len(body) > n:
		return Packet{}, fmt.Errorf("%w: a frame announces %d bytes, found %d", ErrTrailing, n, len(body))
	}
	return Packet{Type: Data, Body: body}, nil
}

func (skynet) Append(dst []byte, m Message) ([]byte, error) {
	if m.Error {
		return dst, nil
	}
	if len(m.Body) > maxSkynet {
		return dst, fmt.Errorf("%w: %d bytes, a frame of Skynet's carries at most %d", ErrTooLong, len(m.Body), maxSkynet)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(m.Body)))
	return append(dst, m.Body...), nil
}

// line is text, as Skynet's socket.readline reads it (lualib/skynet/socket.lua), but that carriage returns at the end are not part of the line.
type line struct{ bare }

func (line) Name() string { return CodecLine }

func (l line) MaxFrame() int { return l.maxBody + maxEnd }

func (l line) Split() func([]byte) (int, []byte, error) {
	maxBody := l.maxBody
	return func(data []byte) (int, []byte, error) {
		window := data[:min(len(data), maxBody+maxEnd)]
		n := bytes.IndexByte(window, '\n')
		switch {
		case n >= 0 && len(endless(window[:n])) <= maxBody:
			return n + 1, data[: n+1 : n+1], nil
		case n >= 0 || len(endless(window)) > maxBody || len(window) == maxBody+maxEnd:
			return 0, nil, fmt.Errorf("%w: a line of more than %d bytes", ErrTooLong, maxBody)
		}
		return 0, nil, nil
	}
}

// endless is a line without its carriage returns. All of them go, so that whatever has come in can be sent back.
func endless(text []byte) []byte { return bytes.TrimRight(text, "\r") }

func (line) Decode(frame []byte) (Packet, error) {
	switch n := bytes.IndexByte(frame, '\n'); {
	case n < 0:
		return Packet{}, fmt.Errorf("%w: a line of %d bytes without a line feed", ErrTruncated, len(frame))
	case n < len(frame)-1:
		return Packet{}, fmt.Errorf("%w: %d bytes behind a line", ErrTrailing, len(frame)-n-1)
	}
	body := endless(frame[:len(frame)-1])
	return Packet{Type: Data, Body: body[:len(body):len(body)]}, nil
}

// Append refuses what would not come out as the one line that went in.
func (line) Append(dst []byte, m Message) ([]byte, error) {
	if m.Error {
		return dst, nil
	}
	if n := bytes.IndexByte(m.Body, '\n'); n >= 0 {
		return dst, fmt.Errorf("%w: a line feed at byte %d of %d", ErrLine, n+1, len(m.Body))
	}
	if n := len(m.Body); n > 0 && m.Body[n-1] == '\r' {
		return dst, fmt.Errorf("%w: a carriage return at its end", ErrLine)
	}
	dst = append(dst, m.Body...)
	return append(dst, '\n'), nil
}

// raw frames nothing: what arrives together is a message, and so is what goes out.
type raw struct{ bare }

func (raw) Name() string { return CodecRaw }

func (r raw) MaxFrame() int { return r.maxBody }

func (r raw) Split() func([]byte) (int, []byte, error) {
	maxBody := r.maxBody
	return func(data []byte) (int, []byte, error) {
		n := min(len(data), maxBody)
		if n == 0 {
			return 0, nil, nil
		}
		return n, data[:n:n], nil
	}
}

func (raw) Decode(frame []byte) (Packet, error) { return Packet{Type: Data, Body: frame}, nil }

func (raw) Append(dst []byte, m Message) ([]byte, error) {
	if m.Error {
		return dst, nil
	}
	return append(dst, m.Body...), nil
}
