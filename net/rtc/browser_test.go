package rtc_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/skua-go/skua/internal/rtctest"
)

func TestBrowserPublishesAndAnotherWatches(t *testing.T) {
	d := open(t, nil)
	mux := http.NewServeMux()
	mux.Handle("/whip/", d.Server)
	mux.Handle("/whep/", d.Server)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(rtctest.Page)) })
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	chrome := rtctest.Browser(t)
	for _, mime := range []string{"video/VP8", "video/VP9", "video/AV1", "video/H264"} {
		t.Run(strings.TrimPrefix(mime, "video/"), func(t *testing.T) {
			room := strings.ToLower(strings.TrimPrefix(mime, "video/"))
			publisher, viewer := rtctest.Tab(chrome, t, web.URL), rtctest.Tab(chrome, t, web.URL)
			rtctest.Do(publisher, t, `publish('/whip/`+room+`?who=anna', '`+mime+`')`)
			if rtctest.Look(publisher, t, func(s rtctest.Seen) bool { return s.Missing || s.Session != "" }).Missing {
				t.Skip("this browser can't encode it")
			}
			rtctest.Do(viewer, t, `watch('/whep/`+room+`?who=bert')`)
			s := rtctest.Look(viewer, t, func(s rtctest.Seen) bool { return s.Frames >= 30 && s.Samples > 48_000 && len(s.Slots.Slots) == 2 })
			if !strings.EqualFold(s.Codec, mime) || s.Width != 640 || s.Slots.Slots[1].Who != "anna" {
				t.Errorf("the page sees %+v", s)
			}
			t.Logf("%+v", s)
			if err := d.Kick(room, "anna", "enough"); err != nil {
				t.Fatal(err)
			}
			d.await(t, "anna has left", func() bool { return d.left["anna"] == "enough" })
			d.note(func() { delete(d.left, "anna") })
		})
	}
	t.Run("simulcast", func(t *testing.T) {
		publisher, viewer := rtctest.Tab(chrome, t, web.URL), rtctest.Tab(chrome, t, web.URL)
		rtctest.Do(publisher, t, `publish('/whip/layers?who=anna', 'video/VP8', [{ rid: 'h' }, { rid: 'l', scaleResolutionDownBy: 2 }])`)
		rtctest.Do(viewer, t, `watch('/whep/layers?who=bert')`)
		rtctest.Look(viewer, t, func(s rtctest.Seen) bool { return s.Frames >= 30 && s.Width == 640 })
		if n := len(d.Members("layers")); n != 2 {
			t.Errorf("%d members", n)
		}
	})
	if n := d.count(t, "skua_webrtc_invalid_packets_total"); n != 0 {
		t.Errorf("%v packets of the browser could not be read", n)
	}
}
