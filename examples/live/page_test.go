package live_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"go.uber.org/goleak"

	"github.com/skua-go/skua/internal/browsertest"
	"github.com/skua-go/skua/internal/nodetest"
	"github.com/skua-go/skua/internal/rtctest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		nodetest.Cleanup()
		os.Exit(code)
	}))
}

// run starts the project from a copy of its directory, with these flags besides.
func run(t *testing.T, env ...string) *nodetest.Node {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"scripts", "rooms", "web"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(name)); err != nil {
			t.Fatal(err)
		}
	}
	toml, err := os.ReadFile("skua.toml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "skua.toml"), toml, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"SKUA_LISTEN_RTMP": "127.0.0.1:0", "SKUA_MEDIA_WEBRTC_UDP": "127.0.0.1:0", "SKUA_MEDIA_WEBRTC_TCP": "off", "SKUA_MEDIA_RECONNECT": "2s"} {
		t.Setenv(name, value)
	}
	for i := 0; i < len(env); i += 2 {
		t.Setenv(env[i], env[i+1])
	}
	return nodetest.Start(t, dir, "--listen-http", "127.0.0.1:0", "--listen-tcp", "off", "--listen-kcp", "off", "--admin", "off")
}

// page is a tab with the page, in which somebody is logged in.
type page struct{ *browsertest.Page }

func open(chrome context.Context, t *testing.T, n *nodetest.Node, query, name string, width, height int64) page {
	t.Helper()
	p := page{browsertest.Open(chrome, t, "http://"+n.Addr["http"]+"/"+query, width, height, 1)}
	p.State = "live.state"
	p.Run(chromedp.WaitVisible("#name"))
	browsertest.Evaluate[string](p.Page, `document.getElementById("name").value = ""`)
	p.Run(chromedp.SendKeys("#name", name), chromedp.SendKeys("#password", "the secret of "+name+kb.Enter))
	p.Until("live.state.view !== 'door'")
	return p
}

func (p page) text(expression string) string {
	p.T.Helper()
	return browsertest.Evaluate[string](p.Page, expression)
}

// sees waits until so many more pictures have been decoded, by the way that is meant.
func (p page) sees(way string, frames int) {
	p.T.Helper()
	p.Until(fmt.Sprintf("live.state.playing === 'playing' && live.state.way === %q", way))
	from := browsertest.Evaluate[int](p.Page, "live.state.frames")
	p.Until(fmt.Sprintf("live.state.frames >= %d", from+frames))
	p.T.Logf("%s: %d pictures by %s", p.text("live.state.name"), browsertest.Evaluate[int](p.Page, "live.state.frames"), way)
}

// TestARoomWithoutWebRTC: an encoder publishes over RTMP with the key that the page shows, and the page plays by what there is.
func TestARoomWithoutWebRTC(t *testing.T) {
	n := run(t, "SKUA_MEDIA_WEBRTC_UDP", "off")
	chrome := rtctest.Browser(t)
	ann := open(chrome, t, n, "", "Ann", 1360, 860)
	ann.Run(chromedp.SendKeys("#title", "From OBS"+kb.Enter))
	ann.Until("live.state.view === 'room'")
	ann.Run(chromedp.Click("#camera"))
	ann.Until(`document.getElementById('notice').innerText === "You can't go on air: This node has no WebRTC."`)
	ann.Run(chromedp.Click("#obs summary"))
	ann.Until("document.getElementById('obs-key').innerText.includes('sign=')")
	stop := encoder(t, "rtmp://"+n.Addr["rtmp"]+"/live/"+ann.text("document.getElementById('obs-key').innerText"))
	defer stop()
	room := ann.text("live.state.room.name")
	bob := open(chrome, t, n, "?room="+room, "Bob", 1360, 860)
	bob.sees("flv", 60)
	bob.Screenshot("live-flv.png")
	cyd := open(chrome, t, n, "?by=hls&room="+room, "Cyd", 1360, 860)
	cyd.sees("hls", 60)
	dan := open(chrome, t, n, "?by=whep&room="+room, "Dan", 1360, 860)
	dan.Until("live.state.playing === 'stopped' && document.getElementById('curtain-text').innerText === 'This node has no WebRTC.'")
	for _, p := range []page{bob, cyd} {
		if c := p.Complaints("/whep/"); len(c) > 0 {
			t.Errorf("%s: %q", p.text("live.state.name"), c)
		}
	}
}

// encoder publishes H.264 and AAC until stop is called.
func encoder(t *testing.T, url string) (stop func()) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("ffmpeg is missing: tools/deps.sh installs it")
		}
		t.Skip("ffmpeg is missing: tools/deps.sh installs it")
	}
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30", "-f", "lavfi", "-i", "sine=sample_rate=44100",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "30", "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "flv", url)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// TestTheRulesDoWhatTheirTestsSay runs tests/ as developers of scripts do.
func TestTheRulesDoWhatTheirTestsSay(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), nodetest.Program(t), "test", ".").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "passed") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestARoomIsLiveFromACamera: Ann goes live, Bob watches by each way, they talk, and the host puts him out.
func TestARoomIsLiveFromACamera(t *testing.T) {
	n := run(t)
	chrome := rtctest.Browser(t)
	ann := open(chrome, t, n, "", "Ann", 1360, 860)
	ann.Until("!document.getElementById('no-rooms').hidden")
	ann.Run(chromedp.SendKeys("#title", "Speedrun of the year"+kb.Enter))
	ann.Until("live.state.view === 'room'")
	ann.Screenshot("live-empty.png")
	ann.Run(chromedp.Click("#camera"))
	ann.Until("live.state.live === 'camera' && live.state.room.live")
	room := ann.text("live.state.room.name")

	bob := open(chrome, t, n, "", "Bob", 412, 860)
	bob.Until("document.querySelector('.room-card .badge.live')")
	bob.Screenshot("live-lobby-phone.png")
	// Somebody comes while he clicks, so the card changes.
	at := browsertest.Evaluate[[]float64](bob.Page, "(({x, y, width, height}) => [x + width / 2, y + height / 2])(document.querySelector('.room-card').getBoundingClientRect())")
	bob.Run(chromedp.MouseEvent(input.DispatchMouseEventTypeMousePressed, at[0], at[1], chromedp.ButtonLeft, chromedp.ClickCount(1)))
	cyd := open(chrome, t, n, "?by=flv&room="+room, "Cyd", 1100, 760)
	bob.Until("document.querySelector('.room-card').innerText.includes('2 in')")
	bob.Run(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, at[0], at[1], chromedp.ButtonLeft, chromedp.ClickCount(1)))
	bob.sees("whep", 60)
	bob.Until("[...document.querySelectorAll('.tile')].some((el) => !el.hidden && el.innerText === 'Ann') && document.getElementById('curtain').hidden")
	bob.Run(chromedp.SendKeys("#text", "<b>hello</b>"+kb.Enter))
	ann.Until("live.state.chat.some((line) => line.name === 'Bob' && line.text === '<b>hello</b>')")
	ann.Until("document.querySelectorAll('#log b').length === 1")
	ann.Until("live.state.room.speaking.includes?.(live.state.me)") // the fake microphone beeps
	bob.Prefers("dark")
	bob.Screenshot("live-room-phone.png")

	cyd.sees("flv", 60)
	dan := open(chrome, t, n, "?by=hls&room="+room, "Dan", 1100, 760)
	dan.sees("hls", 60)
	ann.Until("live.state.room.viewers >= 3")
	bob.Run(chromedp.Click("#voice"))
	bob.Until("live.state.live === 'voice'")
	ann.Until("live.state.playing === 'playing' && live.state.slots.some((s) => s.kind === 'audio' && s.who !== '' && s.who !== live.state.me)")
	ann.Prefers("dark")
	ann.Screenshot("live-room.png")
	dan.Prefers("light")
	dan.Screenshot("live-room-light.png")

	// The host's buttons.
	who := bob.text("live.state.me")
	ann.Run(chromedp.Click(`#people [data-who="` + who + `"] .small-button`))
	ann.Until(`live.state.room.people.some((p) => p.id === "` + who + `" && p.muted)`)
	ann.Run(chromedp.Click("#record"))
	cyd.Until("live.state.room.recording && !document.getElementById('recording').hidden")
	ann.Run(chromedp.Click("#record"))
	cyd.Until("live.state.chat.some((line) => line.text.startsWith('Recorded: ' + live.state.room.name))")
	ann.Run(chromedp.Click(`#people [data-who="` + who + `"] .small-button:last-child`))
	bob.Until("live.state.view === 'lobby' && document.getElementById('notice').innerText.includes('The host has put you out')")
	bob.Run(chromedp.Click(".room-card"))
	bob.Until("live.state.view === 'lobby' && /You may come back in [0-9]+ s/.test(document.getElementById('notice').innerText)")
	if reply := bob.text(`live.state.live`); reply != "" {
		t.Errorf("Bob is on air by %s", reply)
	}

	// The publisher's end.
	ann.Run(chromedp.Click("#camera"))
	for _, p := range []page{cyd, dan} {
		p.Until("live.state.playing === 'stopped' && !document.getElementById('curtain').hidden && document.getElementById('curtain-text').innerText.includes('Nobody is on air')")
	}
	ann.Screenshot("live-over.png")
	for _, p := range []page{ann, bob, cyd, dan} {
		if c := p.Complaints("status of 40"); len(c) > 0 {
			t.Errorf("%s: %q", p.text("live.state.name"), c)
		}
	}
	if strings.Contains(n.Log(), "ERR") || strings.Contains(n.Log(), `"level":"ERROR"`) {
		t.Error("the node has logged an error")
	}
}
