package packet

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrMedia is what is wrong with a media package.
var ErrMedia = errors.New("packet: bad media package")

// MediaVersion is that of the media packages here.
const MediaVersion = 1

// The first byte of a media package's body.
const (
	mediaControl  = 0x00
	mediaBegins   = 0x01 // the first piece of a frame
	mediaGoesOn   = 0x02
	mediaKind     = 0x03
	mediaKey      = 0x04 // of a first piece: decoding may begin there
	mediaPieceLen = 1 + 4 + 1
	mediaFrameLen = mediaPieceLen + 4 + 8 + 4
)

// MediaPiece is how much of a frame goes into one package at most. Whatever else a connection has to say goes out between two of them.
const MediaPiece = 16<<10 - HeaderSize - mediaFrameLen

// MaxMediaTime is what times are below, in µs and either way: 142 years, so that a clock may count from 1970, and that the distance of two is a time.Duration, and a number of JavaScript.
const MaxMediaTime = 1 << 52

// maxMediaParts is how many frames may be on their way in pieces at a time.
const maxMediaParts = 32

// MediaOffer is what a server that has rooms tells in its handshake.
type MediaOffer struct {
	Version int `json:"version"`
	// Piece is how much of a frame a client may put into one package, Frame the largest frame, in bytes.
	Piece int `json:"piece"`
	Frame int `json:"frame"`
	// Rooms is how many a connection may publish to and watch at a time, Tracks how many tracks it may publish in each.
	Rooms  int `json:"rooms"`
	Tracks int `json:"tracks"`
}

// MediaFrame is a picture or a packet of sound on its way.
type MediaFrame struct {
	// Channel is what it belongs to: from a client the id of its publish, from a server the channel that it has told.
	Channel uint32
	Track   uint8
	Key     bool
	DTS     int64 // µs
	Offset  int32 // of the presentation time from it, µs
	Data    []byte
}

// AppendMediaFrame appends the packages of a frame, with so much of its data in each at most; 0 is MediaPiece.
func AppendMediaFrame(dst []byte, f *MediaFrame, piece int) []byte {
	if piece <= 0 || piece > MaxBody-mediaFrameLen {
		piece = MediaPiece
	}
	data := f.Data[:min(len(f.Data), piece)]
	first := byte(mediaBegins)
	if f.Key {
		first |= mediaKey
	}
	dst = appendMediaHead(dst, first, f, mediaFrameLen+len(data))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(f.Data)))
	dst = binary.BigEndian.AppendUint64(dst, uint64(f.DTS))
	dst = binary.BigEndian.AppendUint32(dst, uint32(f.Offset))
	dst = append(dst, data...)
	for rest := f.Data[len(data):]; len(rest) > 0; rest = rest[len(data):] {
		data = rest[:min(len(rest), piece)]
		dst = appendMediaHead(dst, mediaGoesOn, f, mediaPieceLen+len(data))
		dst = append(dst, data...)
	}
	return dst
}

// MediaFrameSize is how long the packages of a frame are whose data has so many bytes.
func MediaFrameSize(data int) int {
	pieces := max(1, (data+MediaPiece-1)/MediaPiece)
	return pieces*(HeaderSize+mediaPieceLen) + mediaFrameLen - mediaPieceLen + data
}

func appendMediaHead(dst []byte, first byte, f *MediaFrame, body int) []byte {
	dst = append(dst, byte(Media), byte(body>>16), byte(body>>8), byte(body), first)
	return append(binary.BigEndian.AppendUint32(dst, f.Channel), f.Track)
}

// NextPackage cuts the first package off bytes that are whole packages, as the Append functions make them.
func NextPackage(packages []byte) (first, rest []byte) {
	n := HeaderSize + bodyLen(packages)
	return packages[:n:n], packages[n:]
}

// MediaTrack describes a track.
type MediaTrack struct {
	Track uint8 `json:"track"`
	// Codec is h264, h265, av1, vp8, vp9, aac, opus or mp3, and Config its record as docs/media.md has it, base64 in JSON.
	Codec         string `json:"codec"`
	Config        []byte `json:"config,omitempty"`
	Group         uint8  `json:"group,omitempty"`
	Layer         uint8  `json:"layer,omitempty"`
	Width         int    `json:"width,omitempty"`
	Height        int    `json:"height,omitempty"`
	SampleRate    int    `json:"rate,omitempty"`
	AudioChannels int    `json:"channels,omitempty"`
}

// The operations of a MediaControl.
const (
	MediaWatch   = "watch"   // client: Room, Query
	MediaPublish = "publish" // client: Room, Query, Tracks
	MediaTell    = "track"   // both: Tracks has one, whose parameters are these from here on
	MediaClose   = "close"   // client
	MediaOpened  = "opened"  // server: Channel
	MediaSkipped = "skipped" // server: Frames were left out, since the viewer is too slow
	MediaWaiting = "waiting" // server: the publisher has gone
	MediaLive    = "live"    // server: there is a publisher
	MediaMuted   = "muted"   // server: Kind, On
	MediaEnded   = "ended"   // server: Code, Msg
)

// MediaControl is a media package that is no frame.
type MediaControl struct {
	Op string `json:"op"`
	// ID is the client's number of what it has opened.
	ID      uint32       `json:"id"`
	Room    string       `json:"room,omitempty"`
	Query   string       `json:"query,omitempty"`
	Tracks  []MediaTrack `json:"tracks,omitempty"`
	Channel uint32       `json:"channel,omitempty"`
	Frames  uint64       `json:"frames,omitempty"`
	Kind    string       `json:"kind,omitempty"`
	On      bool         `json:"on,omitempty"`
	Code    string       `json:"code,omitempty"`
	Msg     string       `json:"msg,omitempty"`
}

// AppendMediaControl appends a package.
func AppendMediaControl(dst []byte, m *MediaControl) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return dst, fmt.Errorf("%w: %w", ErrMedia, err)
	}
	return AppendPacket(dst, Media, append([]byte{mediaControl}, body...))
}

// MediaPieces puts frames together that come in pieces. It holds what has come, not what was announced. The zero value takes frames up to MaxBody; it is one goroutine's.
type MediaPieces struct {
	// MaxFrame is the largest frame, and what all those on their way may have together, in bytes.
	MaxFrame int

	parts map[mediaPart]*pieces
	held  int
}

type mediaPart struct {
	channel uint32
	track   uint8
}

type pieces struct {
	frame MediaFrame
	size  int
}

// Decode reads the body of a media package: a control, or a piece of a frame, which is given when it is whole, with bytes of its own.
func (p *MediaPieces) Decode(body []byte) (control *MediaControl, frame *MediaFrame, err error) {
	if len(body) == 0 {
		return nil, nil, fmt.Errorf("%w: it is empty", ErrMedia)
	}
	first := body[0]
	switch first & mediaKind {
	case mediaControl:
		if first != mediaControl {
			break
		}
		control = new(MediaControl)
		if err := json.Unmarshal(body[1:], control); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrMedia, err)
		}
		return control, nil, nil
	case mediaBegins:
		if first&^(mediaBegins|mediaKey) != 0 {
			break
		}
		frame, err = p.begin(body)
		return nil, frame, err
	case mediaGoesOn:
		if first != mediaGoesOn {
			break
		}
		frame, err = p.goOn(body)
		return nil, frame, err
	}
	return nil, nil, fmt.Errorf("%w: the first byte is 0x%02x, expected 0x00, 0x01, 0x05 or 0x02", ErrMedia, first)
}

// MediaChannel is the channel of a piece of a frame; ok is false for what is none. What belongs to a channel that has ended is to be dropped before Decode sees it.
func MediaChannel(body []byte) (channel uint32, ok bool) {
	if len(body) < mediaPieceLen || body[0]&mediaKind == mediaControl {
		return 0, false
	}
	return binary.BigEndian.Uint32(body[1:]), true
}

func (p *MediaPieces) begin(body []byte) (*MediaFrame, error) {
	if len(body) <= mediaFrameLen {
		return nil, fmt.Errorf("%w: the first piece of a frame has %d bytes, expected more than %d", ErrMedia, len(body), mediaFrameLen)
	}
	f := MediaFrame{Channel: binary.BigEndian.Uint32(body[1:]), Track: body[5], Key: body[0]&mediaKey != 0}
	size := int(binary.BigEndian.Uint32(body[mediaPieceLen:]))
	f.DTS = int64(binary.BigEndian.Uint64(body[mediaPieceLen+4:]))
	f.Offset = int32(binary.BigEndian.Uint32(body[mediaPieceLen+12:]))
	data := body[mediaFrameLen:]
	most := p.most()
	key := mediaPart{f.Channel, f.Track}
	switch {
	case f.DTS <= -MaxMediaTime || f.DTS >= MaxMediaTime:
		return nil, fmt.Errorf("%w: a frame at %d µs", ErrMedia, f.DTS)
	case size > most:
		return nil, fmt.Errorf("%w: a frame of %d bytes, at most %d are accepted", ErrMedia, size, most)
	case len(data) > size:
		return nil, fmt.Errorf("%w: a piece of %d bytes of a frame of %d", ErrMedia, len(data), size)
	case p.parts[key] != nil:
		return nil, fmt.Errorf("%w: a frame of channel %d, track %d begins before the one before it is whole", ErrMedia, f.Channel, f.Track)
	}
	if len(data) == size {
		f.Data = append([]byte(nil), data...)
		return &f, nil
	}
	if len(p.parts) >= maxMediaParts || p.held+len(data) > most {
		return nil, fmt.Errorf("%w: %d frames with %d bytes are on their way in pieces, at most %d with %d are accepted", ErrMedia, len(p.parts)+1, p.held+len(data), maxMediaParts, most)
	}
	if p.parts == nil {
		p.parts = map[mediaPart]*pieces{}
	}
	const believed = 64 << 10 // beyond, memory comes with the bytes
	f.Data = append(make([]byte, 0, min(size, believed)), data...)
	p.parts[key] = &pieces{f, size}
	p.held += len(data)
	return nil, nil //nolint:nilnil // it is not whole
}

func (p *MediaPieces) goOn(body []byte) (*MediaFrame, error) {
	if len(body) <= mediaPieceLen {
		return nil, fmt.Errorf("%w: a piece of a frame has %d bytes, expected more than %d", ErrMedia, len(body), mediaPieceLen)
	}
	key := mediaPart{binary.BigEndian.Uint32(body[1:]), body[5]}
	part, data := p.parts[key], body[mediaPieceLen:]
	most := p.most()
	switch {
	case part == nil:
		return nil, fmt.Errorf("%w: a piece of channel %d, track %d, of which no frame has begun", ErrMedia, key.channel, key.track)
	case len(data) > part.size-len(part.frame.Data):
		return nil, fmt.Errorf("%w: a piece of %d bytes of a frame that lacks %d", ErrMedia, len(data), part.size-len(part.frame.Data))
	case p.held+len(data) > most:
		return nil, fmt.Errorf("%w: %d bytes of frames are on their way in pieces, at most %d are accepted", ErrMedia, p.held+len(data), most)
	}
	part.frame.Data = append(part.frame.Data, data...)
	p.held += len(data)
	if len(part.frame.Data) < part.size {
		return nil, nil //nolint:nilnil // it is not whole
	}
	delete(p.parts, key)
	p.held -= part.size
	return &part.frame, nil
}

func (p *MediaPieces) most() int {
	if p.MaxFrame <= 0 {
		return MaxBody
	}
	return p.MaxFrame
}

// Forget drops what has come of frames of a channel that are not whole.
func (p *MediaPieces) Forget(channel uint32) {
	p.Keep(func(c uint32) bool { return c != channel })
}

// Keep forgets all channels but those that are wanted.
func (p *MediaPieces) Keep(wanted func(channel uint32) bool) {
	for key, part := range p.parts {
		if !wanted(key.channel) {
			p.held -= len(part.frame.Data)
			delete(p.parts, key)
		}
	}
}
