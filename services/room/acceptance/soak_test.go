package acceptance_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pion "github.com/pion/webrtc/v4"

	"github.com/skua-go/skua/net/rtmp/rtmptest"
)

// soakFor is how long publishers and viewers come and go: SKUA_SOAK=30m, or else by SKUA_ACCEPTANCE and CI.
func soakFor(t *testing.T) time.Duration {
	t.Helper()
	if text := os.Getenv("SKUA_SOAK"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("SKUA_SOAK=%s, expected a duration such as 30m: %v", text, err)
		}
		return d
	}
	if full() {
		return 30 * time.Minute
	}
	if os.Getenv("CI") == "true" {
		return time.Minute
	}
	return 20 * time.Second
}

// rounds are how many times all come, stay for a while, and are gone: what a node has then is compared.
const rounds = 4

// footprint is what a node has while nobody is in its rooms.
type footprint struct {
	goroutines, files int
	heap              int64 // bytes in use, behind a collection
}

func (n *node) footprint() footprint {
	n.Helper()
	n.get("http://" + n.Addr["admin"] + "/debug/pprof/heap?gc=1")
	m := n.scrape()
	files, err := os.ReadDir("/proc/" + strconv.Itoa(n.PID()) + "/fd")
	if err != nil {
		n.Skipf("the files of a process are not known here: %v", err)
	}
	return footprint{int(m["go_goroutines"]), len(files), int64(m["go_memstats_heap_inuse_bytes"])}
}

// TestNothingIsLeftOfWhoHasGone: in each of four rooms publishers come and go, are cut off or leave, and so do viewers over RTMP, HTTP-FLV, HLS and WHEP.
func TestNothingIsLeftOfWhoHasGone(t *testing.T) {
	n := start(t, "admit = \"open\"\nreconnect = \"1s\"\nring_bytes = 4194304\n[media.webrtc]\nudp = \"127.0.0.1:0\"\n")
	long := soakFor(t) / rounds
	var before []footprint
	var all crowd
	for round := range rounds {
		ctx, cancel := context.WithTimeout(t.Context(), long)
		all.run(ctx, n)
		cancel()
		http.DefaultClient.CloseIdleConnections()
		n.until("everybody has left", func() bool { return n.scrape()["skua_media_rooms"] == 0 })
		var now footprint
		n.until("what they had is given back", func() bool {
			now = n.footprint()
			return round < 2 || now.goroutines <= before[1].goroutines+4 && now.files <= before[1].files+4 && now.heap <= before[1].heap*5/4+4<<20
		})
		before = append(before, now)
		t.Logf("round %d of %v: %s; then %d goroutines, %d files, %.1f MB of heap", round+1, long, all.told(), now.goroutines, now.files, float64(now.heap)/1e6)
	}
	for what, count := range map[string]*atomic.Int64{"rtmp": &all.rtmp, "flv": &all.flv, "hls": &all.hls, "whep": &all.whep, "publishers": &all.publishers} {
		if count.Load() == 0 {
			t.Errorf("nobody came: %s", what)
		}
	}
	// Now and then somebody comes as the publisher goes.
	if lucky := all.rtmp.Load() + all.flv.Load() + all.hls.Load() + all.whep.Load(); all.unlucky.Load() > lucky/2 {
		t.Errorf("%d viewers have seen nothing, %d something", all.unlucky.Load(), lucky)
	}
}

// crowd counts who has come, and seen something.
type crowd struct {
	publishers, rtmp, flv, hls, whep, unlucky atomic.Int64
}

func (c *crowd) told() string {
	return fmt.Sprintf("%d publishers, viewers: %d over RTMP, %d over FLV, %d over HLS, %d by WHEP, %d in vain",
		c.publishers.Load(), c.rtmp.Load(), c.flv.Load(), c.hls.Load(), c.whep.Load(), c.unlucky.Load())
}

// run has them come and go until ctx ends.
func (c *crowd) run(ctx context.Context, n *node) {
	var running sync.WaitGroup
	for i := range 4 {
		room := fmt.Sprintf("room%d", i)
		running.Go(func() {
			for ctx.Err() == nil {
				c.publishers.Add(1)
				stay, cancel := context.WithTimeout(ctx, 2*time.Second+rand.N(4*time.Second))
				_, _ = publish(stay, n.Addr["rtmp"], room, 0) // a second one is refused while the first is there
				cancel()
			}
		})
		for _, way := range []func(context.Context, *node, string) error{c.overRTMP, c.overFLV, c.overHLS, c.overWHEP} {
			running.Go(func() {
				for ctx.Err() == nil {
					stay, cancel := context.WithTimeout(ctx, 500*time.Millisecond+rand.N(2*time.Second))
					if err := way(stay, n, room); err != nil && ctx.Err() == nil {
						c.unlucky.Add(1)
						<-stay.Done()
					}
					cancel()
				}
			})
		}
	}
	running.Wait()
}

// read takes what comes until ctx ends, and says whether that was anything.
func read(ctx context.Context, conn net.Conn, count *atomic.Int64, watch func() seen) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if s := watch(); s.pictures == 0 {
		return errors.Join(errNothing, s.end)
	}
	count.Add(1)
	return nil
}

var errNothing = errors.New("nothing was seen")

func (c *crowd) overRTMP(ctx context.Context, n *node, room string) error {
	client, err := rtmptest.Dial(ctx, n.Addr["rtmp"])
	if err != nil {
		return err
	}
	return read(ctx, client, &c.rtmp, func() seen { return watchRTMP(client, room) })
}

func (c *crowd) overFLV(ctx context.Context, n *node, room string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", n.Addr["http"])
	if err != nil {
		return err
	}
	return read(ctx, conn, &c.flv, func() seen { return watchFLV(conn, room) })
}

var partOf = regexp.MustCompile(`URI="([^"]+part[^"]+)"`)

func (c *crowd) overHLS(ctx context.Context, n *node, room string) error {
	base := "http://" + n.Addr["http"] + "/live/" + room + "/"
	index, err := fetch(ctx, base+"index.m3u8")
	if err != nil {
		return err
	}
	lines := strings.Fields(index)
	for parts := 0; ; {
		n, err := readParts(ctx, base, lines[len(lines)-1])
		if parts += n; err == nil {
			continue
		}
		if parts == 0 {
			return err
		}
		c.hls.Add(1)
		return nil // the end of the room, or of the time to stay
	}
}

// readParts reads a playlist and its parts, the last of which is yet to come.
func readParts(ctx context.Context, base, list string) (parts int, err error) {
	text, err := fetch(ctx, base+list)
	if err != nil {
		return 0, err
	}
	for _, part := range partOf.FindAllStringSubmatch(text, -1) {
		if _, err := fetch(ctx, base+part[1]); err != nil {
			return parts, err
		}
		parts++
	}
	return parts, nil
}

func fetch(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, b)
	}
	return string(b), err
}

func (c *crowd) overWHEP(ctx context.Context, n *node, room string) error {
	set := pion.SettingEngine{}
	set.SetIncludeLoopbackCandidate(true)
	set.SetNetworkTypes([]pion.NetworkType{pion.NetworkTypeUDP4})
	engine := new(pion.MediaEngine)
	if err := engine.RegisterDefaultCodecs(); err != nil {
		return err
	}
	pc, err := pion.NewAPI(pion.WithSettingEngine(set), pion.WithMediaEngine(engine)).NewPeerConnection(pion.Configuration{})
	if err != nil {
		return err
	}
	defer func() { _ = pc.GracefulClose() }()
	var packets atomic.Int64
	pc.OnTrack(func(track *pion.TrackRemote, _ *pion.RTPReceiver) {
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			packets.Add(1)
		}
	})
	if _, err := pc.AddTransceiverFromKind(pion.RTPCodecTypeVideo, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionRecvonly}); err != nil {
		return err
	}
	session, err := terms(ctx, pc, "http://"+n.Addr["http"], "/whep/"+room)
	if err != nil {
		return err
	}
	<-ctx.Done()
	if rand.N(2) == 0 { // the others vanish, and are noticed by their silence
		req, err := http.NewRequest(http.MethodDelete, session, http.NoBody)
		if err == nil {
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}
	}
	if packets.Load() == 0 {
		return errNothing
	}
	c.whep.Add(1)
	return nil
}

// terms brings an offer to a path, and gives the session.
func terms(ctx context.Context, pc *pion.PeerConnection, base, path string) (session string, err error) {
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	gathered := pion.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		return "", err
	}
	<-gathered
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, strings.NewReader(pc.LocalDescription().SDP))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/sdp")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("%s: %s: %s", path, resp.Status, answer)
	}
	return base + resp.Header.Get("Location"), pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: string(answer)})
}
