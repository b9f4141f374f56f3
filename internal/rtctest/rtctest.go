// Package rtctest is a browser with a made-up camera and microphone, and a page in it that publishes by WHIP and watches by WHEP. It is for tests alone.
package rtctest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/skua-go/skua/internal/browsertest"
)

// Page is a client of a few lines, as the drafts have it: no library. It leaves what it sees in the window's variable seen.
const Page = `<!doctype html><title>rtc</title><video id="v" autoplay muted playsinline></video><script>
window.seen = {}
async function terms(pc, path) {
  await pc.setLocalDescription()
  const answer = await fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: pc.localDescription.sdp })
  if (answer.status != 201) throw new Error(answer.status + ' ' + await answer.text())
  await pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() })
  return answer.headers.get('Location')
}
async function publish(path, mime, layers) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360 } })
  const pc = window.publisher = new RTCPeerConnection()
  for (const track of stream.getTracks()) {
    const line = pc.addTransceiver(track, { direction: 'sendonly', streams: [stream], sendEncodings: track.kind == 'video' && layers ? layers : undefined })
    if (track.kind == 'video') {
      const codecs = RTCRtpSender.getCapabilities('video').codecs.filter(c => c.mimeType == mime)
      if (codecs.length == 0) { window.seen.missing = true; return }
      line.setCodecPreferences(codecs)
    }
  }
  window.seen.session = await terms(pc, path)
}
async function watch(path) {
  const pc = window.viewer = new RTCPeerConnection()
  const events = pc.createDataChannel('events')
  events.onmessage = e => { const m = JSON.parse(e.data); window.seen[m.event] = m }
  pc.addTransceiver('audio', { direction: 'recvonly' })
  pc.addTransceiver('video', { direction: 'recvonly' })
  pc.ontrack = e => { document.getElementById('v').srcObject = e.streams[0] }
  await terms(pc, path)
}
async function look() {
  if (!window.viewer) return JSON.stringify(window.seen)
  for (const r of (await window.viewer.getStats()).values()) {
    if (r.type != 'inbound-rtp') continue
    if (r.kind == 'video') Object.assign(window.seen, { frames: r.framesDecoded || 0, width: r.frameWidth, lost: r.packetsLost })
    if (r.kind == 'audio') window.seen.samples = r.totalSamplesReceived || 0
  }
  for (const r of (await window.viewer.getStats()).values()) if (r.type == 'codec' && r.mimeType.startsWith('video/')) window.seen.codec = r.mimeType
  return JSON.stringify(window.seen)
}
</script>`

// Seen is what a page sees.
type Seen struct {
	Session       string
	Missing       bool
	Codec         string
	Frames, Width int
	Lost, Samples int
	Slots         struct {
		Slots []struct{ Track, Kind, Who string }
	}
}

// Look asks a page what it sees until that is enough.
func Look(page context.Context, t *testing.T, enough func(Seen) bool) Seen {
	t.Helper()
	var s Seen
	for late := time.Now().Add(40 * time.Second); ; {
		text, err := chromedp.Run(page, chromedp.Evaluate[string](`new Promise(done => setTimeout(() => done(look()), 100))`, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if enough(s) {
			return s
		}
		if time.Now().After(late) {
			t.Fatalf("after 40 s the page sees %s", text)
		}
	}
}

// Do runs a function of the page.
func Do(page context.Context, t *testing.T, script string) {
	t.Helper()
	if _, err := chromedp.Run(page, chromedp.Evaluate[string](script+`.then(() => 'done')`, chromedp.EvalAwaitPromise)); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
}

// Tab opens a page.
func Tab(chrome context.Context, t *testing.T, url string) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(chrome)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// Browser starts one Chromium with a camera and a microphone that are made up.
func Browser(t *testing.T) context.Context {
	t.Helper()
	return browsertest.Start(t, "use-fake-device-for-media-stream", "use-fake-ui-for-media-stream", "disable-renderer-backgrounding", "disable-background-timer-throttling",
		"disable-backgrounding-occluded-windows")
}
