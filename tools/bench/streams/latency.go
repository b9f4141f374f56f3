package streams

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/tools/bench/measure"
)

// Way is how a viewer asks for the stream and takes its frames.
type Way struct {
	server  string
	viewers int // the index of the address they come to
	publish func(ctx context.Context, addr string) error
	dial    Dial
	// frame reads one, and gives when it was published: 0 if that does not stand in it.
	frame func(r *bufio.Reader) (published int64, picture bool, err error)
}

// The ways that are measured.
var (
	ByFLV  = Way{server: "media-live", viewers: 1, publish: publishRTMP, dial: FLV, frame: tags}
	ByRTMP = Way{server: "media-live", publish: publishRTMP, dial: RTMP, frame: messages}
	ByOwn  = Way{server: "media-live", viewers: 2, publish: publishRTMP, dial: Own, frame: packages}
	ByBare = Way{server: "media-bare-relay", viewers: 1, publish: publishBare, dial: Bare, frame: bareFrames}
)

// look is how much of a frame's beginning is read to find its time.
const look = 64

// tags reads HTTP-FLV, behind the head of HTTP and of the file.
func tags(r *bufio.Reader) (int64, bool, error) {
	for {
		head, err := r.Peek(11)
		if err != nil {
			return 0, false, err
		}
		if head[0] == 'H' { // of the answer
			for line := "-"; line != "\r\n"; {
				if line, err = r.ReadString('\n'); err != nil {
					return 0, false, err
				}
			}
			if _, err := r.Discard(13); err != nil { // FLV's own, with the size of no tag
				return 0, false, err
			}
			continue
		}
		kind, size := head[0], int(head[1])<<16|int(head[2])<<8|int(head[3])
		if _, err := r.Discard(11); err != nil {
			return 0, false, err
		}
		got, err := begin(r, size, size+4)
		return got, kind == flv.TypeVideo, err
	}
}

// begin looks at the beginning of what is size bytes long, and reads past it, so many bytes in all.
func begin(r *bufio.Reader, size, all int) (published int64, err error) {
	head, err := r.Peek(min(size, look))
	if err != nil {
		return 0, err
	}
	published = when(head)
	_, err = r.Discard(all)
	return published, err
}

// messages reads RTMP, where the server sends each on one chunk stream at a time.
func messages(r *bufio.Reader) (int64, bool, error) {
	head, err := r.Peek(12)
	if err != nil {
		return 0, false, err
	}
	kind, size := head[7], int(head[4])<<16|int(head[5])<<8|int(head[6])
	if _, err := r.Discard(12); err != nil {
		return 0, false, err
	}
	if size > outChunk {
		size += (size - 1) / outChunk // the headers of the further chunks
	}
	got, err := begin(r, size, size)
	return got, kind == flv.TypeVideo, err
}

// outChunk is the size of the server's chunks, which it tells before the first that could be longer.
const outChunk = 60_000

func bareFrames(r *bufio.Reader) (int64, bool, error) {
	head, err := r.Peek(4)
	if err != nil {
		return 0, false, err
	}
	size := int(binary.BigEndian.Uint32(head))
	if _, err := r.Discard(4); err != nil {
		return 0, false, err
	}
	got, err := begin(r, size, size)
	return got, size > soundBytes, err
}

// addrs are where its publisher and its viewers go.
func (w Way) addrs(p *measure.Process) (publisher, viewers string) {
	all := strings.Fields(p.Addr)
	return all[0], all[w.viewers]
}

// run has f measure while an encoder publishes.
func (w Way) run(ctx context.Context, f func(ctx context.Context, addr string) (float64, error)) (float64, error) {
	return measure.WithServer(ctx, w.server, func(p *measure.Process) (v float64, err error) {
		live, cancel := context.WithCancel(ctx)
		defer cancel()
		group, live := errgroup.WithContext(live)
		in, out := w.addrs(p)
		group.Go(func() error { return w.publish(live, in) })
		group.Go(func() error {
			defer cancel()
			v, err = f(live, out)
			return err
		})
		return v, group.Wait()
	})
}

// LatencyP99 is what passes between the moment at which an encoder hands a frame to its socket and that at which a viewer has all of it, of 99 in 100 frames and viewers: ms.
func (w Way) LatencyP99(viewers int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return w.run(ctx, func(ctx context.Context, addr string) (float64, error) {
			begun := time.Now().Add(warm)
			ctx, cancel := context.WithDeadline(ctx, begun.Add(measureFor))
			defer cancel()
			seen := make([][]time.Duration, viewers)
			var group errgroup.Group
			for i := range viewers {
				conn, r, err := w.join(ctx, addr)
				if err != nil {
					return 0, err
				}
				defer conn.Close()
				group.Go(func() (err error) {
					seen[i], err = w.listen(ctx, conn, r, begun)
					return err
				})
			}
			if err := group.Wait(); err != nil {
				return 0, err
			}
			return milliseconds(slices.Concat(seen...), 0.99, viewers*int(measureFor.Seconds()*50))
		})
	}
}

func (w Way) join(ctx context.Context, addr string) (net.Conn, *bufio.Reader, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	in, err := w.dial(conn)
	if err != nil {
		return nil, nil, fmt.Errorf("streams: a viewer: %w", err)
	}
	return conn, bufio.NewReaderSize(in, 32<<10), nil
}

// listen notes the age of each frame that comes behind begun, until ctx ends.
func (w Way) listen(ctx context.Context, conn net.Conn, r *bufio.Reader, begun time.Time) ([]time.Duration, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var ages []time.Duration
	for {
		published, _, err := w.frame(r)
		now := time.Now()
		if ctx.Err() != nil {
			return ages, nil
		}
		if err != nil {
			return nil, fmt.Errorf("streams: a viewer was put out: %w", err)
		}
		if published > 0 && now.After(begun) {
			ages = append(ages, time.Duration(now.UnixNano()-published))
		}
	}
}

// milliseconds is a percentile. Fewer values than this would be another measurement.
func milliseconds(all []time.Duration, percentile float64, least int) (float64, error) {
	if len(all) < least {
		return 0, fmt.Errorf("streams: %d values, expected %d at least: this machine is too busy to measure it", len(all), least)
	}
	slices.Sort(all)
	return float64(all[int(float64(len(all)-1)*percentile)].Microseconds()) / 1000, nil
}

// joins is how many viewers come, one after the other, to see how soon they see something.
const joins = 150

// FirstFrameP95 is what passes between the moment at which a viewer begins to connect and that at which it has its first picture, which is a key frame, of 95 in 100: ms.
func (w Way) FirstFrameP95() measure.Func {
	return func(ctx context.Context) (float64, error) {
		return w.run(ctx, func(ctx context.Context, addr string) (float64, error) {
			if err := wait(ctx, warm); err != nil {
				return 0, err
			}
			var all []time.Duration
			for range joins {
				begun := time.Now()
				if err := w.first(ctx, addr); err != nil {
					return 0, err
				}
				all = append(all, time.Since(begun))
				if err := wait(ctx, 17*time.Millisecond); err != nil { // at all places between two key frames
					return 0, err
				}
			}
			return milliseconds(all, 0.95, joins)
		})
	}
}

func (w Way) first(ctx context.Context, addr string) error {
	conn, r, err := w.join(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return err
	}
	for {
		published, picture, err := w.frame(r)
		if err != nil || picture && published > 0 { // else it is parameters
			return err
		}
	}
}

// HLSBehind is how far a player of low-latency HLS is behind the encoder, in seconds: the age of the newest part when the player has it, and the distance that the playlist tells players to keep from
// there (PART-HOLD-BACK). 95 in 100 parts are not further behind.
func HLSBehind(ctx context.Context) (float64, error) {
	return ByFLV.run(ctx, func(ctx context.Context, addr string) (float64, error) {
		if err := wait(ctx, warm); err != nil {
			return 0, err
		}
		base, err := url.Parse("http://" + addr + "/live/bench/index.m3u8")
		if err != nil {
			return 0, err
		}
		list, err := get(ctx, base)
		if err != nil {
			return 0, err
		}
		at, err := base.Parse(lastLine(list))
		if err != nil {
			return 0, err
		}
		var all []time.Duration
		for ask := at; len(all) < 40; {
			list, err := get(ctx, ask)
			if err != nil {
				return 0, err
			}
			p, err := readPlaylist(list)
			if err != nil {
				return 0, err
			}
			uri, err := at.Parse(p.part)
			if err != nil {
				return 0, err
			}
			data, err := get(ctx, uri)
			if err != nil {
				return 0, err
			}
			published, now := when(data), time.Now()
			if published == 0 {
				return 0, fmt.Errorf("%w: a part of %d bytes without a frame", errNoAnswer, len(data))
			}
			all = append(all, time.Duration(now.UnixNano()-published)+p.holdBack)
			next := *at
			next.RawQuery += fmt.Sprintf("&_HLS_msn=%d&_HLS_part=%d", p.msn, p.next)
			ask = &next
		}
		ms, err := milliseconds(all, 0.95, 40)
		return ms / 1000, err
	})
}

func get(ctx context.Context, at *url.URL) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w: %s: %s", errNoAnswer, resp.Status, data)
	}
	return data, err
}

func lastLine(text []byte) string {
	lines := strings.Fields(string(text))
	return lines[len(lines)-1]
}

// playlist is what a player looks at: the newest part, and which one to wait for.
type playlist struct {
	part      string
	msn, next int
	holdBack  time.Duration
}

var (
	partLine = regexp.MustCompile(`#EXT-X-PART:.*URI="([^"]+)"`)
	hintLine = regexp.MustCompile(`#EXT-X-PRELOAD-HINT:TYPE=PART,URI="[^"]*part(\d+)\.(\d+)\.mp4`)
	holdLine = regexp.MustCompile(`PART-HOLD-BACK=([0-9.]+)`)
)

func readPlaylist(list []byte) (p playlist, err error) {
	parts, hint, hold := partLine.FindAllSubmatch(list, -1), hintLine.FindSubmatch(list), holdLine.FindSubmatch(list)
	if len(parts) == 0 || hint == nil || hold == nil {
		return p, fmt.Errorf("%w: a playlist without parts: %s", errNoAnswer, list)
	}
	p.part = string(parts[len(parts)-1][1])
	seconds, err := strconv.ParseFloat(string(hold[1]), 64)
	if err != nil {
		return p, err
	}
	p.holdBack = time.Duration(seconds * float64(time.Second))
	if p.msn, err = strconv.Atoi(string(hint[1])); err != nil {
		return p, err
	}
	p.next, err = strconv.Atoi(string(hint[2]))
	return p, err
}
