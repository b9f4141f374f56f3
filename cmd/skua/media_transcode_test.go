package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/skua-go/skua/internal/rtctest"
)

// TestBrowserHearsByWHEPTheAACThatIsPublishedOverRTMP: as Opus, which another process makes.
func TestBrowserHearsByWHEPTheAACThatIsPublishedOverRTMP(t *testing.T) {
	d, tab := live(t, "media.transcode_audio = true")
	stop := background(t, "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30", "-f", "lavfi", "-i", "sine=frequency=1000:sample_rate=44100",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "30", "-c:a", "aac", "-f", "flv", "rtmp://"+d.addr["rtmp"]+"/live/arena?who=ann")
	defer stop()
	await(t, "it publishes", func() bool { return d.scraped(`skua_media_members{action="publish",protocol="rtmp"} 1`) })
	viewer := tab()
	rtctest.Do(viewer, t, `watch('http://`+d.addr["http"]+`/whep/arena?who=bert')`)
	// A page makes noise when its user has done something.
	gesture := func(p *runtime.EvaluateParams) { p.UserGesture = new(true) }
	if _, err := chromedp.Run(viewer, chromedp.Evaluate[string](`v.muted = false; v.play().then(() => 'done')`, gesture, chromedp.EvalAwaitPromise)); err != nil {
		t.Fatal(err)
	}
	var heard struct {
		Samples, Concealed float64
		Energy             float64
	}
	const audio = `viewer.getStats().then(all => { for (const r of all.values()) if (r.type == 'inbound-rtp' && r.kind == 'audio')
  return JSON.stringify({ samples: r.totalSamplesReceived || 0, concealed: r.concealedSamples || 0, energy: r.totalAudioEnergy || 0 }); return '{}' })`
	s := rtctest.Look(viewer, t, func(s rtctest.Seen) bool {
		text, err := chromedp.Run(viewer, chromedp.Evaluate[string](audio, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(text), &heard); err != nil {
			t.Fatal(err)
		}
		return s.Frames >= 90 && heard.Samples-heard.Concealed > 3*48000
	})
	t.Logf("%d pictures; of the sound %+v", s.Frames, heard)
	if heard.Energy < 0.001 {
		t.Errorf("what the browser hears has an energy of %g: silence", heard.Energy)
	}
	if !d.scraped("skua_media_transcoders 1") || !d.scraped("skua_media_transcoder_restarts_total 0") || !d.scraped("skua_media_transcoder_frames_dropped_total 0") {
		t.Error("the metrics do not tell of one process without failures: " + d.get("http://"+d.addr["admin"]+"/metrics", nil))
	}
}

// TestPlayersGetTheOpusThatIsPublishedAsAAC over HTTP-FLV, RTMP and HLS; over RTSP as it is.
func TestPlayersGetTheOpusThatIsPublishedAsAAC(t *testing.T) {
	d := openDoors(t, t.TempDir(), openGate+`
listen.rtmp = "127.0.0.1:0"
listen.rtsp = "127.0.0.1:0"
media.admit = "open"
media.transcode_audio = true
`)
	rtsp := "rtsp://" + d.addr["rtsp"] + "/live/arena"
	stop := background(t, "-re", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=48000",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-c:a", "libopus", "-f", "rtsp", "-rtsp_transport", "tcp", rtsp)
	defer stop()
	await(t, "it publishes", func() bool { return d.scraped(`skua_media_members{action="publish",protocol="rtsp"} 1`) })
	web := "http://" + d.addr["http"] + "/live/arena"
	for url, codec := range map[string]string{web + ".flv": "aac", web + "/index.m3u8": "aac", "rtmp://" + d.addr["rtmp"] + "/live/arena": "aac", rtsp: "opus"} {
		file := filepath.Join(t.TempDir(), "got.mkv")
		if told, err := ffmpeg(t, "-i", url, "-t", "2", "-map", "0:v", "-map", "0:a", "-c", "copy", file); err != nil {
			t.Errorf("%s: %v %s", url, err, told)
			continue
		}
		told, err := ffmpeg(t, "-i", file, "-loglevel", "info", "-f", "null", "-")
		if err != nil || !strings.Contains(told, "Audio: "+codec) || !strings.Contains(told, "48000 Hz, stereo") && codec == "aac" {
			t.Errorf("%s: %v, expected %s: %s", url, err, codec, told)
		}
	}
}

// TestTheCheckAndTheLogSayThatTheProgramIsMissing: the node serves its rooms without it.
func TestTheCheckAndTheLogSayThatTheProgramIsMissing(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "no-ffmpeg")
	config := openGate + "listen.rtmp = \"127.0.0.1:0\"\nmedia.admit = \"open\"\nmedia.transcode_audio = true\nmedia.ffmpeg = \"" + missing + "\"\n"
	d := openDoors(t, dir, config)
	await(t, "the log has it", func() bool {
		return strings.Contains(d.log.text(), "sound is passed on as it is published") && strings.Contains(d.log.text(), missing)
	})
	p, err := openProject(dir, extension{})
	if err != nil {
		t.Fatal(err)
	}
	_, problems, err := p.check()
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0].String(), "media.transcode_audio needs it") {
		t.Errorf("the check says %v, %v", problems, err)
	}
}
