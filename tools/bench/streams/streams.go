// Package streams measures live media: one stream to many viewers, over each protocol, beside a bare loop that writes the same bytes.
package streams

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/net/media"

	"github.com/skua-go/skua/tools/bench/measure"
)

// The stream: 1.6 Mbps, as a camera at 30 pictures a second with a key frame each second, and sound.
const (
	pictures    = 30
	picture     = 5_800
	keyPicture  = 23_000
	soundBytes  = 186 // 64 kbps of AAC at 44.1 kHz
	soundEach   = 23220 * time.Microsecond
	pictureEach = time.Second / pictures
	dialTimeout = 20 * time.Second
	warm        = 1500 * time.Millisecond // the GOP that each gets at once is behind then
	measureFor  = 2500 * time.Millisecond
)

// The parameters of its pictures.
var (
	sps = []byte("\x67\x4d\x40\x0d\xec\xa0\xa0\xcf\xcf\x80\x88\x00\x00\x03\x00\x08\x00\x00\x03\x01\xe0\x78\xa1\x4c\xb0")
	pps = []byte("\x68\xce\x0f\xc8")
)

// Servers are those that stream to whoever connects.
func Servers() map[string]measure.Server {
	return map[string]measure.Server{
		"media-flv": serveFLV, "media-rtmp": serveRTMP, "media-rtsp": serveRTSP, "media-bare": serveBare,
		"media-own-tcp": serveOwn("tcp", 1), "media-own-kcp": serveOwn("kcp", KCPSlow), "media-bare-kcp": serveBareKCP,
		"media-live": serveLive, "media-bare-relay": serveBareRelay,
	}
}

// feed publishes the stream until ctx ends, so many times slower than it is.
func feed(ctx context.Context, s *media.Stream, slow time.Duration) error {
	p, err := s.Publish(nil)
	if err != nil {
		return err
	}
	video, err := p.Track(media.TrackSpec{Kind: media.Video})
	if err != nil {
		return err
	}
	audio, err := p.Track(media.TrackSpec{Kind: media.Audio})
	if err != nil {
		return err
	}
	p.Complete()
	config, err := media.AVCConfig(sps, pps)
	if err != nil {
		return err
	}
	h264, _, err := media.NewParams(media.H264, config)
	if err != nil {
		return err
	}
	aac := &media.Params{Codec: media.AAC, Config: []byte{0x12, 0x10}}
	return pace(ctx, slow, func(at time.Duration, key bool, size int, sound bool) error {
		sample := media.Sample{DTS: at, PTS: at, Key: key, Data: make([]byte, size), Params: h264}
		binary.BigEndian.PutUint32(sample.Data, uint32(size-4)) // one NAL unit
		if sample.Data[4] = 0x41; key {
			sample.Data[4] = 0x65
		}
		if sound {
			sample.Params = aac
			return p.Write(audio, sample)
		}
		return p.Write(video, sample)
	})
}

// pace calls write for each frame when it is due, so many times slower than the stream is.
func pace(ctx context.Context, slow time.Duration, write func(at time.Duration, key bool, size int, sound bool) error) error {
	begun := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n, m := 0, 0; ; {
		at, sound := time.Duration(n)*pictureEach, false
		if next := time.Duration(m) * soundEach; next < at {
			at, sound = next, true
		}
		timer.Reset(time.Until(begun.Add(at * slow)))
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		size, key := picture, !sound && n%pictures == 0
		switch {
		case sound:
			size = soundBytes
			m++
		case key:
			size = keyPicture
			n++
		default:
			n++
		}
		if err := write(at, key, size, sound); err != nil {
			return err
		}
	}
}

// PerCore is the gigabits a second that a server of this name sends to so many viewers, for each core that it uses.
func PerCore(server string, viewers int, dial Dial) measure.Func {
	return perCore(server, viewers, 1, overTCP, dial)
}

// KCPSlow is how many times slower than its own time the stream over KCP is: clients of KCP take so much more time than the server that a thousand of them, at its own time, are too much for a machine
// of two cores. What a frame costs is the same.
const KCPSlow = 5

// PerCoreOverKCP is PerCore for a server that speaks KCP, and sends the stream as slow as KCPSlow.
func PerCoreOverKCP(server string, viewers int, dial Dial) measure.Func {
	return perCore(server, viewers, KCPSlow, overKCP, dial)
}

func perCore(server string, viewers int, slow time.Duration, connect connect, dial Dial) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return measure.WithServer(ctx, server, func(p *measure.Process) (float64, error) {
			audience, err := watchOver(ctx, p.Addr, viewers, connect, dial)
			if err != nil {
				return 0, err
			}
			defer audience.leave()
			if err := wait(ctx, warm*slow); err != nil {
				return 0, err
			}
			before, err := p.CPU()
			if err != nil {
				return 0, err
			}
			from := audience.bytes.Load()
			if err := wait(ctx, measureFor); err != nil {
				return 0, err
			}
			got := audience.bytes.Load() - from
			after, err := p.CPU()
			if err != nil {
				return 0, err
			}
			if err := audience.failed(); err != nil {
				return 0, err
			}
			// What should have come: a server that sends less uses less.
			if want := int64(float64(viewers) * 1.3e6 / 8 * (measureFor / slow).Seconds()); got < want {
				return 0, fmt.Errorf("streams: %d bytes came to %d viewers, expected %d at least", got, viewers, want)
			}
			return float64(got) * 8 / 1e9 / (after - before).Seconds(), nil
		})
	}
}

// ViewerBytes is the resident memory of the server that each of so many viewers takes.
func ViewerBytes(server string, viewers int, dial Dial) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return measure.WithServer(ctx, server, func(p *measure.Process) (float64, error) {
			// What a first viewer has the server make is not what each takes.
			first, err := watch(ctx, p.Addr, 1, dial)
			if err != nil {
				return 0, err
			}
			defer first.leave()
			if err := wait(ctx, warm); err != nil {
				return 0, err
			}
			before, err := p.RSS()
			if err != nil {
				return 0, err
			}
			audience, err := watch(ctx, p.Addr, viewers, dial)
			if err != nil {
				return 0, err
			}
			defer audience.leave()
			if err := wait(ctx, warm); err != nil {
				return 0, err
			}
			after, err := p.RSS()
			if err != nil {
				return 0, err
			}
			return float64(after-before) / float64(viewers), audience.failed()
		})
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Dial asks a server for its stream, and gives what then comes.
type Dial func(conn net.Conn) (io.Reader, error)

// audience is viewers who read what comes and look at none of it.
type audience struct {
	conns   []net.Conn
	bytes   atomic.Int64
	reading sync.WaitGroup
	leaving atomic.Bool
	err     atomic.Pointer[error]
}

// connect makes a connection to a server.
type connect func(ctx context.Context, addr string) (net.Conn, error)

func overTCP(ctx context.Context, addr string) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", addr)
}

func watch(ctx context.Context, addr string, viewers int, dial Dial) (*audience, error) {
	return watchOver(ctx, addr, viewers, overTCP, dial)
}

func watchOver(ctx context.Context, addr string, viewers int, connect connect, dial Dial) (*audience, error) {
	a := &audience{}
	for range viewers {
		conn, err := connect(ctx, addr)
		if err != nil {
			a.leave()
			return nil, err
		}
		a.conns = append(a.conns, conn)
		r, err := dial(conn)
		if err != nil {
			a.leave()
			return nil, err
		}
		a.reading.Go(func() { a.read(r) })
	}
	return a, nil
}

func (a *audience) read(r io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		a.bytes.Add(int64(n))
		if err != nil {
			if !a.leaving.Load() {
				err = fmt.Errorf("streams: a viewer was put out: %w", err)
				a.err.CompareAndSwap(nil, &err)
			}
			return
		}
	}
}

func (a *audience) failed() error {
	if err := a.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (a *audience) leave() {
	a.leaving.Store(true)
	for _, c := range a.conns {
		_ = c.Close()
	}
	a.reading.Wait()
}

// FLV asks for a stream over HTTP.
func FLV(conn net.Conn) (io.Reader, error) {
	_, err := io.WriteString(conn, "GET /live/bench.flv HTTP/1.1\r\nHost: bench\r\n\r\n")
	return conn, err
}

// Bare gets the bytes for connecting.
func Bare(conn net.Conn) (io.Reader, error) { return conn, nil }

// RTSP asks for a stream over RTSP, all in one go.
func RTSP(conn net.Conn) (io.Reader, error) {
	const url = "rtsp://bench/live/bench"
	var b []byte
	for i, line := range []string{
		"DESCRIBE " + url, "SETUP " + url + "/trackID=0", "SETUP " + url + "/trackID=1", "PLAY " + url,
	} {
		b = fmt.Appendf(b, "%s RTSP/1.0\r\nCSeq: %d\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n", line, i)
	}
	_, err := conn.Write(b)
	return conn, err
}

// FanOut is what a frame costs a viewer of so many, from the publisher into the viewer's hands, without its socket: nanoseconds.
func FanOut(viewers int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		s := media.New(media.Config{})
		defer s.Close(nil)
		p, err := s.Publish(nil)
		if err != nil {
			return 0, err
		}
		track, err := p.Track(media.TrackSpec{Kind: media.Video})
		if err != nil {
			return 0, err
		}
		p.Complete()
		all := make([]*media.Viewer, viewers)
		for i := range all {
			if all[i], err = s.Join(media.ViewerConfig{}); err != nil {
				return 0, err
			}
		}
		params, data, frames := &media.Params{Codec: media.H264}, make([]byte, picture), make([]*media.Frame, 32)
		ns, err := measure.PerOp(ctx, func(n int) error {
			for range n {
				if err := p.Write(track, media.Sample{Key: true, Data: data, Params: params}); err != nil {
					return err
				}
				for _, v := range all {
					if got, err := v.Take(frames); got != 1 || err != nil {
						return fmt.Errorf("streams: %d frames for a viewer, expected 1: %w", got, err)
					}
				}
			}
			return nil
		})
		return ns / float64(viewers), err
	}
}

// errNoAnswer: a server has not done what the protocol says.
var errNoAnswer = errors.New("streams: the server does not answer as expected")

// RTMP asks for a stream over RTMP.
func RTMP(conn net.Conn) (io.Reader, error) {
	r := bufio.NewReaderSize(conn, 4<<10)
	if err := greet(conn, r); err != nil {
		return nil, err
	}
	_, err := conn.Write(append(command(0, "connect", 1), command(1, "play", 2)...))
	return r, err
}
