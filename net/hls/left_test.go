package hls_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/net/hls"
	"github.com/skua-go/skua/net/media"
)

// vp8 is a key frame's beginning: 160x120.
var vp8 = []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0xa0, 0x00, 0x78, 0x00}

// TestAPlayerIsToldWhatHLSCanNotCarry has pictures of VP8, which no player takes in MP4: alone, and with sound that is there.
func TestAPlayerIsToldWhatHLSCanNotCarry(t *testing.T) {
	pictures, _, err := media.NewParams(media.VP8, nil)
	if err != nil {
		t.Fatal(err)
	}
	opus, _, err := media.NewParams(media.Opus, media.OpusConfig(2))
	if err != nil {
		t.Fatal(err)
	}
	for _, with := range []bool{false, true} {
		h := open(t, hls.Config{})
		video, err := h.pub.Track(media.TrackSpec{Kind: media.Video})
		if err != nil {
			t.Fatal(err)
		}
		h.pub.Describe(video, pictures)
		var audio *media.Track
		if with {
			if audio, err = h.pub.Track(media.TrackSpec{Kind: media.Audio}); err != nil {
				t.Fatal(err)
			}
			h.pub.Describe(audio, opus)
		}
		h.pub.Complete()
		for i := range 300 { // two seconds from the newest key frame on
			at := time.Duration(i) * 20 * time.Millisecond
			if err := h.pub.Write(video, media.Sample{DTS: at, PTS: at, Key: i%100 == 0, Data: vp8, Params: pictures}); err != nil {
				t.Fatal(err)
			}
			if audio == nil {
				continue
			}
			if err := h.pub.Write(audio, media.Sample{DTS: at, PTS: at, Data: []byte{0xfc, 1, 2}, Params: opus}); err != nil {
				t.Fatal(err)
			}
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"index.m3u8?token=abc", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if !with {
			if status, text := h.get("index.m3u8?token=abc"); status != http.StatusUnsupportedMediaType || !strings.Contains(text, "can't be watched by HLS") || !strings.Contains(text, "vp8: no player takes it there") {
				t.Errorf("pictures alone: %d %s", status, text)
			}
			continue
		}
		if note := resp.Header.Get("Skua-Note"); resp.StatusCode != http.StatusOK || !strings.Contains(note, "vp8: no player takes it there") {
			t.Errorf("with sound: %s, a note of %q", resp.Status, note)
		}
		if index := h.must("index.m3u8?token=abc"); !strings.Contains(index, `CODECS="opus"`) {
			t.Errorf("with sound:\n%s", index)
		}
	}
}
