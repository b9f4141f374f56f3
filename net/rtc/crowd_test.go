package rtc_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pion "github.com/pion/webrtc/v4"

	"github.com/skua-go/skua/net/rtc"
)

// relay is a TCP connection's way to the node, which may be blocked: what the client is sent is not read any more.
func relay(t *testing.T, to string) (addr string, block func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var blocked atomic.Bool
	end := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		client, err := ln.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", to)
		if err != nil {
			t.Error(err)
			return
		}
		wait.Go(func() { _, _ = io.Copy(server, client) })
		wait.Go(func() {
			buf := make([]byte, 4096)
			for !blocked.Load() {
				n, err := server.Read(buf)
				if err != nil {
					break
				}
				if _, err := client.Write(buf[:n]); err != nil {
					break
				}
			}
			<-end
		})
		<-end
		_ = client.Close()
		_ = server.Close()
	})
	t.Cleanup(func() {
		close(end)
		_ = ln.Close()
		wait.Wait()
	})
	return ln.Addr().String(), func() { blocked.Store(true) }
}

func TestViewerThatStopsReadingDelaysNobody(t *testing.T) {
	d := open(t, func(c *rtc.Config) { c.TCP = "127.0.0.1:0" })
	_, feeds := publish(t, d, "stage", "anna", pion.MimeTypeVP8)
	good := watch(t, d, "/whep/stage", 0, 1)
	slow := newPeer(t, true)
	slow.receive(0, 1)
	way, block := relay(t, d.TCP().String())
	_, from, _ := strings.Cut(d.TCP().String(), ":")
	_, by, _ := strings.Cut(way, ":")
	slow.rewrite = func(answer string) string {
		return strings.ReplaceAll(answer, " "+from+" typ host tcptype", " "+by+" typ host tcptype")
	}
	slow.connect(d, "/whep/stage?who=slow")
	d.await(t, "all are there", func() bool { return len(d.joined) == 3 })
	block()
	large := append(keyFrame(1), make([]byte, 1100)...)
	stop := every(10*time.Millisecond, func() {
		feeds[0].ts += 900
		for range 60 {
			feeds[0].send(t, large)
		}
	})
	t.Cleanup(stop)
	tr := good.track()
	const enough = 2 * 16_000 // packets to two viewers: what no buffer on the way holds
	for d.count(t, "skua_webrtc_packets_sent_total") < enough {
		read(t, tr)
	}
	stop()
	feeds[0].ts += 900
	t.Cleanup(every(10*time.Millisecond, func() { feeds[0].send(t, keyFrame(9)) }))
	until(t, tr, keyFrame(9))
}

func TestHundredViewersMissNothingWhileSomeVanish(t *testing.T) {
	d := open(t, nil)
	_, feeds := publish(t, d, "stage", "anna", pion.MimeTypeVP8)
	const viewers, packets = 100, 60
	watching := make([]*peer, viewers)
	for i := range watching {
		watching[i] = newPeer(t, false)
		watching[i].receive(0, 1)
	}
	var wait sync.WaitGroup
	for _, v := range watching {
		wait.Go(func() { v.connect(d, "/whep/stage") })
	}
	wait.Wait()
	if t.Failed() {
		return
	}
	for _, v := range watching[:10] {
		v.link.cut.Store(true) // they neither read nor say goodbye
	}
	d.await(t, "all are there", func() bool { return len(d.joined) == viewers+1 })
	film(t, feeds[0], 5)
	wrong := make(chan string, viewers)
	for i, v := range watching[10:] {
		wait.Go(func() {
			tr := v.track()
			var last uint16
			for n := range packets {
				p := read(t, tr)
				if n > 0 && p.SequenceNumber != last+1 {
					wrong <- fmt.Sprintf("viewer %d: number %d follows %d", i, p.SequenceNumber, last)
					return
				}
				last = p.SequenceNumber
			}
		})
	}
	wait.Wait()
	close(wrong)
	for text := range wrong {
		t.Error(text)
	}
	if n := d.count(t, "skua_webrtc_viewer_skips_total"); n != 0 {
		t.Errorf("%v viewers were skipped", n)
	}
}
