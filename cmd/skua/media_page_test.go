package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/skua-go/skua/internal/browsertest"
)

// studio publishes what it paints, of a color that the number of the picture tells, and watches it over another connection, decoded by the browser.
const studio = `<!doctype html><title>studio</title><script type="module">
import { connect, videoConfig } from "/skua.js";
const pictures = 60, width = 320, height = 240;
const url = location.origin.replace("http", "ws") + "/ws";
const said = { decoded: 0, wrong: 0, key: 0, codec: "", errors: [] };
const fail = (e) => said.errors.push(String(e));
const color = (n) => (n * 4) % 256;
try {
  const [publisher, viewer] = [connect(url), connect(url)];
  await Promise.all([publisher.ready(), viewer.ready()]);
  const publish = await publisher.publish("page", { tracks: [{ codec: "vp8", width, height }] });
  const canvas = new OffscreenCanvas(1, 1), look = canvas.getContext("2d", { willReadFrequently: true });
  const decoder = new VideoDecoder({
    error: fail,
    output: (f) => {
      look.drawImage(f, 0, 0, 1, 1);
      const want = color(said.decoded++), got = look.getImageData(0, 0, 1, 1).data[0];
      if (Math.abs(want - got) > 12) said.wrong++;
      f.close();
    },
  });
  let track;
  await viewer.watch("page", {
    onFrame: (f) => {
      if (f.track !== track) { track = f.track; decoder.configure(videoConfig(track)); said.codec = videoConfig(track).codec; }
      if (f.type === "key") said.key++;
      decoder.decode(new EncodedVideoChunk(f));
    },
  });
  const encoder = new VideoEncoder({ error: fail, output: (chunk) => publish.write(0, chunk) || fail("a picture was left out") });
  encoder.configure({ codec: "vp8", width, height, bitrate: 1_000_000 });
  const board = new OffscreenCanvas(width, height), paint = board.getContext("2d");
  for (let n = 0; n < pictures; n++) {
    paint.fillStyle = "rgb(" + color(n) + "," + color(n) + "," + color(n) + ")";
    paint.fillRect(0, 0, width, height);
    const frame = new VideoFrame(board, { timestamp: n * 33_333 });
    encoder.encode(frame, { keyFrame: n % 30 === 0 });
    frame.close();
  }
  await encoder.flush();
  for (const end = performance.now() + 20_000; said.key < 2 || said.decoded < pictures; await new Promise((r) => setTimeout(r, 10))) {
    if (performance.now() > end || said.errors.length) break;
    if (said.key === 2) await decoder.flush().catch(() => {});
  }
} catch (e) { fail(e); }
window.said = JSON.stringify(said);
</script>`

func TestAPagePublishesAndDecodesOverTheGamesConnection(t *testing.T) {
	dir := t.TempDir()
	script, err := os.ReadFile(filepath.Join("..", "..", "examples", "arena", "web", "skua.js"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "web"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"skua.js": string(script), "index.html": studio} {
		if err := os.WriteFile(filepath.Join(dir, "web", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	browser := browsertest.Start(t)
	d := openDoors(t, dir, openGate+`
media.admit = "open"
`)
	tab, cancel := chromedp.NewContext(browser)
	defer cancel()
	if err := chromedp.Do(tab, chromedp.Navigate("http://"+d.addr["http"]+"/")); err != nil {
		t.Fatal(err)
	}
	text, err := chromedp.Run(tab, chromedp.Poll[string]("window.said", chromedp.WithPollingTimeout(time.Minute)))
	if err != nil {
		t.Fatal(err)
	}
	var said struct {
		Decoded, Wrong, Key int
		Codec               string
		Errors              []string
	}
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if said.Decoded != 60 || said.Wrong != 0 || said.Key < 2 || said.Codec != "vp8" || len(said.Errors) > 0 {
		t.Errorf("the page says %+v", said)
	}
}
