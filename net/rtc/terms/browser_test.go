package terms_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/skua-go/skua/internal/rtctest"
	"github.com/skua-go/skua/net/rtc/terms"
)

// page makes an offer, has it answered, and tells what has become of its lines.
const page = `<!doctype html><title>terms</title><script>
async function settle(path, prepare) {
  const pc = new RTCPeerConnection()
  try {
    await prepare(pc)
    await pc.setLocalDescription()
    const answer = await fetch(path, { method: 'POST', body: pc.localDescription.sdp })
    const text = await answer.text()
    if (!answer.ok) throw new Error(text)
    await pc.setRemoteDescription({ type: 'answer', sdp: text })
    return JSON.stringify({ lines: pc.getTransceivers().map(t => ({
      way: t.currentDirection,
      codecs: (t.currentDirection == 'sendonly' ? t.sender : t.receiver).getParameters().codecs.length,
      layers: t.sender.getParameters().encodings.length,
    })), sctp: pc.sctp ? pc.sctp.maxMessageSize : 0 })
  } catch (e) { return JSON.stringify({ error: String(e) }) } finally { pc.close() }
}
</script>`

func TestBrowserTakesTheAnswer(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(page)) })
	mux.HandleFunc("POST /{direction}", func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		o, err := terms.Read(string(text), terms.Direction(r.PathValue("direction")))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for i := range o.Lines {
			o.Lines[i].SSRC = uint32(1000 + i)
		}
		_, _ = w.Write([]byte(o.Answer(own())))
	})
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	tab := rtctest.Tab(rtctest.Browser(t), t, web.URL)
	for _, c := range []struct {
		name, path, prepare string
		ways                []string // of the lines that have not been rejected
		layers              int
		data                bool
		refused             string
	}{
		{"a publisher", "publish", `pc.addTransceiver('audio', { direction: 'sendonly' }); pc.addTransceiver('video', { direction: 'sendonly' }); pc.createDataChannel('room')`, []string{"sendonly", "sendonly"}, 1, true, ""},
		{"layers", "publish", `pc.addTransceiver('video', { direction: 'sendonly', sendEncodings: [{ rid: 'h' }, { rid: 'm' }, { rid: 'l' }] })`, []string{"sendonly"}, 3, false, ""},
		{"a viewer", "play", `pc.createDataChannel('events'); for (const k of ['audio', 'video', 'video']) pc.addTransceiver(k, { direction: 'recvonly' })`, []string{"recvonly", "recvonly", "recvonly"}, 1, true, ""},
		{"both ways", "play", `pc.addTransceiver('audio'); pc.addTransceiver('video')`, []string{"recvonly", "recvonly"}, 1, false, ""},
		{"the first is of the wrong direction", "publish", `pc.addTransceiver('audio', { direction: 'recvonly' }); pc.addTransceiver('video', { direction: 'sendonly' })`, []string{"inactive", "sendonly"}, 1, false, ""},
		{
			"the second has no codec in common", "publish",
			`pc.addTransceiver('video', { direction: 'sendonly' }); const a = pc.addTransceiver('audio', { direction: 'sendonly' }); a.setCodecPreferences(RTCRtpSender.getCapabilities('audio').codecs.filter(c => c.mimeType == 'audio/PCMU'))`,
			[]string{"sendonly"},
			1, false, "",
		},
		{
			"the first has no codec in common", "publish",
			`const a = pc.addTransceiver('audio', { direction: 'sendonly' }); a.setCodecPreferences(RTCRtpSender.getCapabilities('audio').codecs.filter(c => c.mimeType == 'audio/PCMU')); pc.addTransceiver('video', { direction: 'sendonly' })`,
			[]string{"sendonly"},
			1, false, "",
		},
		{"a publisher that receives", "publish", `pc.addTransceiver('audio', { direction: 'recvonly' })`, nil, 0, false, "expected a=sendonly"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := chromedp.Run(tab, chromedp.Evaluate[string](`settle('/`+c.path+`', async pc => { `+c.prepare+` })`, chromedp.EvalAwaitPromise))
			if err != nil {
				t.Fatal(err)
			}
			var seen struct {
				Error string
				Lines []struct {
					Way            string
					Codecs, Layers int
				}
				SCTP float64
			}
			if err := json.Unmarshal([]byte(text), &seen); err != nil {
				t.Fatal(err)
			}
			if c.refused != "" {
				if !strings.Contains(seen.Error, c.refused) {
					t.Errorf("the page sees %s", text)
				}
				return
			}
			var ways []string
			for _, l := range seen.Lines {
				ways = append(ways, l.Way)
				if l.Way != "inactive" && l.Codecs == 0 {
					t.Errorf("no codecs: %s", text)
				}
			}
			if seen.Error != "" || !slices.Equal(ways, c.ways) {
				t.Errorf("the page sees %s, expected %q", text, c.ways)
			}
			if last := len(seen.Lines) - 1; last >= 0 && seen.Lines[last].Way == "sendonly" && seen.Lines[last].Layers != c.layers {
				t.Errorf("%d layers, expected %d", seen.Lines[last].Layers, c.layers)
			}
			if c.data != (seen.SCTP != 0) {
				t.Errorf("data: %v", seen.SCTP)
			}
		})
	}
}
