package transcode

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"

	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/media"
)

// errOutput: what came back is not what was asked for.
var errOutput = errors.New("transcode: it writes what was not asked for")

// What is asked for: both codecs at 48 kHz in two channels.
const (
	rate      = 48000
	opusFrame = 960  // samples, 20 ms
	aacFrame  = 1024 // samples
)

// arguments are ffmpeg's. It begins with what comes first instead of looking at much of it, keeps the times of its input, and writes each packet at once.
func arguments(from, to media.Codec) []string {
	args := []string{"-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning", "-protocol_whitelist", "pipe", "-probesize", "32", "-analyzeduration", "0", "-copyts", "-threads", "1"}
	if from == media.Opus {
		args = append(args, "-f", "ogg")
	} else {
		args = append(args, "-f", "flv")
	}
	args = append(args, "-i", "pipe:0", "-map", "0:a:0", "-ar", "48000", "-ac", "2", "-threads", "1", "-flush_packets", "1")
	if to == media.Opus {
		return append(args, "-c:a", "libopus", "-b:a", "128k", "-frame_duration", "20", "-f", "ogg", "-page_duration", "1", "pipe:1")
	}
	return append(args, "-c:a", "aac", "-b:a", "160k", "-f", "flv", "-flvflags", "no_duration_filesize", "pipe:1")
}

// paramsOf are those of what is made.
func paramsOf(to media.Codec) *media.Params {
	p := &media.Params{Codec: to, SampleRate: rate, Channels: 2}
	if to == media.AAC {
		p.Config = []byte{0x11, 0x90} // AudioSpecificConfig: LC, 48 kHz, two channels
	} else {
		p.Config = media.OpusConfig(p.Channels)
	}
	return p
}

// muxer writes what a process is given.
type muxer interface {
	// append is a frame with what has to come before it. The bytes are good until the next one.
	append(f *media.Frame, at time.Duration) []byte
}

func newMuxer(p *media.Params) muxer {
	if p.Codec == media.Opus {
		return newOgg(p)
	}
	return &flvMuxer{params: p}
}

// flvMuxer writes FLV of sound alone.
type flvMuxer struct {
	params *media.Params
	buf    []byte
	began  bool
}

func (m *flvMuxer) append(f *media.Frame, at time.Duration) []byte {
	m.buf = m.buf[:0]
	ms := flv.Milliseconds(at)
	if !m.began {
		m.began = true
		m.buf = append(m.buf, flv.Header(false, true)...)
		if config, told := flv.AppendConfig(nil, m.params); told {
			m.buf = flv.AppendTag(m.buf, flv.TypeAudio, ms, func(b []byte) []byte { return append(b, config...) })
		}
	}
	m.buf = flv.AppendTag(m.buf, flv.TypeAudio, ms, func(b []byte) []byte { return flv.AppendBody(b, f) })
	return m.buf
}

// oggMuxer writes Opus in Ogg (RFC 3533, RFC 7845), a page for each packet, whose position is where it ends: so there may be gaps, which a writer that counts packets does not know.
type oggMuxer struct {
	head  []byte
	buf   []byte
	pages uint32
	table [256]uint32
}

const (
	oggSerial = 1
	oggFirst  = 2 // the type of the first page
	oggCRC    = 0x04c11db7
	maxPacket = 254 * 255 // that a page has place for
)

func newOgg(p *media.Params) *oggMuxer {
	m := &oggMuxer{head: media.OpusConfig(2)}
	switch {
	case len(p.Config) > 18 && p.Config[18] != 0: // an order of channels that has to be told
		m.head = p.Config
	case p.Channels == 1:
		m.head = media.OpusConfig(1)
	}
	for i := range m.table {
		r := uint32(i) << 24
		for range 8 {
			if r&(1<<31) != 0 {
				r = r<<1 ^ oggCRC
			} else {
				r <<= 1
			}
		}
		m.table[i] = r
	}
	return m
}

func (m *oggMuxer) append(f *media.Frame, at time.Duration) []byte {
	m.buf = m.buf[:0]
	if m.pages == 0 {
		m.page(oggFirst, 0, m.head)
		m.page(0, 0, []byte("OpusTags\x04\x00\x00\x00skua\x00\x00\x00\x00"))
	}
	if len(f.Data) <= maxPacket {
		m.page(0, media.Ticks(at, rate)+opus.PacketDuration2(f.Data), f.Data)
	}
	return m.buf
}

// page writes one: RFC 3533 section 6.
func (m *oggMuxer) page(kind byte, position int64, packet []byte) {
	begin := len(m.buf)
	m.buf = append(m.buf, 'O', 'g', 'g', 'S', 0, kind)
	m.buf = binary.LittleEndian.AppendUint64(m.buf, uint64(position))
	m.buf = binary.LittleEndian.AppendUint32(m.buf, oggSerial)
	m.buf = binary.LittleEndian.AppendUint32(m.buf, m.pages)
	m.buf = append(m.buf, 0, 0, 0, 0, byte(len(packet)/255+1))
	for range len(packet) / 255 {
		m.buf = append(m.buf, 255)
	}
	m.buf = append(append(m.buf, byte(len(packet)%255)), packet...)
	var sum uint32
	for _, b := range m.buf[begin:] {
		sum = sum<<8 ^ m.table[byte(sum>>24)^b]
	}
	binary.LittleEndian.PutUint32(m.buf[begin+22:], sum)
	m.pages++
}

// demux reads what a process writes: each frame with when it begins, of the process's times, and how long it is.
func demux(r *bufio.Reader, of media.Codec, each func(at, long time.Duration, data []byte) error) error {
	if of == media.Opus {
		return readOgg(r, each)
	}
	return readFLV(r, each)
}

// readOgg reads Opus. An encoder's first samples are not sound yet (pre-skip): the frame that has them begins so much before it.
func readOgg(r io.Reader, each func(at, long time.Duration, data []byte) error) error {
	pages, head, err := oggreader.NewWith(r)
	if err != nil {
		return output(err)
	}
	for {
		packet, page, err := pages.ParseNextPage()
		if err != nil {
			return output(err)
		}
		if _, is := page.HeaderType(packet); is || len(packet) == 0 {
			continue
		}
		if d := opus.PacketDuration2(packet); d != opusFrame {
			return fmt.Errorf("%w: a packet of %d samples, expected %d", errOutput, d, opusFrame)
		}
		at := int64(page.GranulePosition) - int64(head.PreSkip) - opusFrame
		if err := each(media.FromTicks(at, rate), media.FromTicks(opusFrame, rate), packet); err != nil {
			return err
		}
	}
}

// readFLV reads AAC. ffmpeg gives the first frame a time that is before the sound by what the encoder puts in front of it.
func readFLV(r *bufio.Reader, each func(at, long time.Duration, data []byte) error) error {
	head := make([]byte, len(flv.Header(false, true)))
	if _, err := io.ReadFull(r, head); err != nil {
		return output(err)
	}
	if string(head[:3]) != "FLV" {
		return fmt.Errorf("%w: no FLV", errOutput)
	}
	for {
		kind, ms, body, err := flv.ReadTag(r)
		if err != nil {
			return output(err)
		}
		if kind != flv.TypeAudio {
			continue
		}
		err = flv.Parse(media.Audio, body, func(part flv.Part) error {
			if part.Config {
				return expectAAC(part.Data)
			}
			return each(time.Duration(ms)*time.Millisecond, media.FromTicks(aacFrame, rate), part.Data)
		})
		if err != nil {
			return err
		}
	}
}

func expectAAC(config []byte) error {
	p, _, err := media.NewParams(media.AAC, config)
	if err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	if p.SampleRate != rate || p.Channels != 2 {
		return fmt.Errorf("%w: AAC of %d Hz in %d channels, expected %d in 2", errOutput, p.SampleRate, p.Channels, rate)
	}
	return nil
}

// output is the error of reading what a process writes, nil for its end: that has a reason of its own.
func output(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return fmt.Errorf("%w: %w", errOutput, err)
}
