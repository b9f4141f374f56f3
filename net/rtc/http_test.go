package rtc_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	pion "github.com/pion/webrtc/v4"

	"github.com/skua-go/skua/net/rtc"
)

// viewerOffer is one that a browser might make to receive sound and a picture.
func viewerOffer(t testing.TB) string {
	t.Helper()
	p := newPeer(t, false)
	p.receive(1, 1)
	return p.offer()
}

func TestWrongRequestsAreRefusedWithAReason(t *testing.T) {
	d := open(t, func(c *rtc.Config) {
		c.Origins = []string{"https://play.example.com"}
		c.MaxSlots = 1
	})
	d.admit = func(r rtc.Request) (rtc.Permit, error) {
		switch r.Room {
		case "locked":
			if r.Token != "open sesame" {
				return rtc.Permit{}, &rtc.RefusalError{Status: http.StatusUnauthorized, Reason: "show a token"}
			}
			return rtc.Permit{}, &rtc.RefusalError{Reason: "the party is over"}
		case "broken":
			return rtc.Permit{}, errors.New("secret of the node")
		}
		return rtc.Permit{Who: r.Name}, nil
	}
	offer, sdp := viewerOffer(t), "application/sdp"
	many := newPeer(t, false)
	many.receive(2, 0)
	for _, c := range []struct {
		name, method, path, kind, body string
		header                         []string
		status                         int
		detail                         string
	}{
		{"no room", "POST", "/whep/", sdp, offer, nil, 404, "expected /whip/ROOM"},
		{"a path trick", "POST", "/whep/..%2Fetc", sdp, offer, nil, 404, "expected /whip/ROOM"},
		{"a hidden name", "POST", "/whep/.room", sdp, offer, nil, 404, "expected /whip/ROOM"},
		{"deeper", "DELETE", "/whep/a/b/c", "", "", nil, 404, "expected /whip/ROOM"},
		{"GET", "GET", "/whep/a", "", "", nil, 405, "OPTIONS, POST"},
		{"no SDP type", "POST", "/whep/a", "text/plain", offer, nil, 415, `"text/plain", expected application/sdp`},
		{"no SDP", "POST", "/whep/a", sdp, "hello", nil, 400, "no SDP"},
		{"empty", "POST", "/whep/a", sdp, "", nil, 400, ""},
		{"too long", "POST", "/whep/a", sdp, strings.Repeat("a", 200_000), nil, 413, "131072 bytes"},
		{"nothing to receive", "POST", "/whip/a", sdp, offer, nil, 400, "expected a=sendonly"},
		{"too many lines", "POST", "/whep/a", sdp, many.offer(), nil, 400, "more than 1 lines"},
		{"a name with a slash", "POST", "/whep/a?who=a%2Fb", sdp, offer, nil, 400, "who: expected"},
		{"no token", "POST", "/whep/locked", sdp, offer, nil, 401, "show a token"},
		{"a token", "POST", "/whep/locked", sdp, offer, []string{"Authorization", "Bearer open sesame"}, 403, "the party is over"},
		{"a token in the URL", "POST", "/whep/locked?token=open%20sesame", sdp, offer, nil, 403, "the party is over"},
		{"rules that fail", "POST", "/whep/broken", sdp, offer, nil, 500, "the node failed"},
		{"a strange page", "POST", "/whep/a", sdp, offer, []string{"Origin", "https://evil.example.com"}, 403, "evil.example.com"},
		{"PATCH of nobody", "PATCH", "/whep/a/b", "", "", nil, 404, "no such session"},
		{"DELETE of nobody", "DELETE", "/whep/a/b", "", "", nil, 404, "no such session"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, text := ask(t, c.method, d.url+c.path, c.kind, c.body, c.header...)
			if resp.StatusCode != c.status {
				t.Fatalf("%s: %s, expected %d", resp.Status, text, c.status)
			}
			var problem struct{ Detail string }
			if err := json.Unmarshal([]byte(text), &problem); err != nil || resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("no problem: %q, %v", text, err)
			}
			if !strings.Contains(problem.Detail, c.detail) {
				t.Errorf("it says %q, expected %q", problem.Detail, c.detail)
			}
			if strings.Contains(text, "secret") {
				t.Errorf("the client is told %s", text)
			}
		})
	}
	if got := d.Members("a"); len(got) != 0 {
		t.Errorf("members: %+v", got)
	}
}

func TestAnswerTellsWhereTheSessionIsAndWhichServersThereAre(t *testing.T) {
	d := open(t, func(c *rtc.Config) {
		c.Origins = []string{"https://play.example.com"}
		c.ICEServers = []rtc.ICEServer{{URL: "stun:stun.example.com"}, {URL: "turn:turn.example.com?transport=udp", Username: "u", Credential: `p"w`}, {URL: "turns:t.example.com", Secret: "s"}}
	})
	page := []string{"Origin", "https://play.example.com"}
	resp, _ := ask(t, "OPTIONS", d.url+"/whep/a", "", "", page...)
	if resp.StatusCode != http.StatusNoContent || resp.Header.Get("Access-Control-Allow-Origin") != page[1] || !strings.Contains(resp.Header.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("OPTIONS: %s, %v", resp.Status, resp.Header)
	}
	resp, answer := ask(t, "POST", d.url+"/whep/a?who=bert", "application/sdp", viewerOffer(t), page...)
	if resp.StatusCode != http.StatusCreated || resp.Header.Get("Content-Type") != "application/sdp" || !strings.Contains(answer, "a=ice-lite") {
		t.Fatalf("POST: %s: %s", resp.Status, answer)
	}
	location, etag := resp.Header.Get("Location"), resp.Header.Get("ETag")
	if !strings.HasPrefix(location, "/whep/a/") || len(location) < 30 || etag == "" || !strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), "Location") {
		t.Errorf("headers: %v", resp.Header)
	}
	links := resp.Header.Values("Link")
	if len(links) != 3 || links[0] != `<stun:stun.example.com>; rel="ice-server"` || !strings.Contains(links[1], `username="u"; credential="p\"w"`) || !strings.Contains(links[2], `:bert"; credential="`) {
		t.Errorf("links: %q", links)
	}
	frag := "application/trickle-ice-sdpfrag"
	candidate := "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n"
	for _, c := range []struct {
		match, body string
		status      int
	}{{etag, candidate, 204}, {`"other"`, candidate, 412}, {"", candidate, 428}, {"*", candidate, 400}, {etag, "hello", 400}, {etag, strings.Repeat(candidate, 100), 400}} {
		resp, text := ask(t, "PATCH", d.url+location, frag, c.body, "If-Match", c.match)
		if resp.StatusCode != c.status {
			t.Errorf("PATCH with If-Match %s: %s: %s, expected %d", c.match, resp.Status, text, c.status)
		}
	}
	if resp, _ := ask(t, "DELETE", d.url+strings.Replace(location, "whep", "whip", 1), "", ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("DELETE by the other protocol: %s", resp.Status)
	}
	if resp, _ := ask(t, "DELETE", d.url+location, "", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("DELETE: %s", resp.Status)
	}
	d.await(t, "bert has left", func() bool { return d.left["bert"] == rtc.ReasonLeft })
}

func TestRestartOfICEKeepsThePicture(t *testing.T) {
	d := open(t, nil)
	_, feeds := publish(t, d, "stage", "anna", pion.MimeTypeVP8)
	film(t, feeds[0], 4)
	v := watch(t, d, "/whep/stage", 0, 1)
	tr := v.track()
	read(t, tr)
	offer, err := v.pc.CreateOffer(&pion.OfferOptions{ICERestart: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	var body strings.Builder
	for line := range strings.Lines(offer.SDP) {
		if strings.HasPrefix(line, "a=ice-") {
			body.WriteString(line)
		}
	}
	resp, text := ask(t, "PATCH", v.url, "application/trickle-ice-sdpfrag", body.String(), "If-Match", "*")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("ETag") == v.etag {
		t.Fatalf("%s: %s", resp.Status, text)
	}
	for _, part := range []string{"a=ice-ufrag:", "a=ice-pwd:", "a=candidate:", "a=mid:0"} {
		if !strings.Contains(text, part) {
			t.Errorf("the fragment lacks %s: %s", part, text)
		}
	}
	if err := v.pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: answerWith(v.pc.CurrentRemoteDescription().SDP, text)}); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	for time.Since(at) < time.Second || v.pc.ICEConnectionState() != pion.ICEConnectionStateConnected {
		read(t, tr)
	}
	if resp, _ := ask(t, "PATCH", v.url, "application/trickle-ice-sdpfrag", "a=end-of-candidates\r\n", "If-Match", v.etag); resp.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("PATCH with the old ETag: %s", resp.Status)
	}
}

// answerWith is the answer with the credentials of a fragment.
func answerWith(answer, fragment string) string {
	of := func(prefix string) string {
		for line := range strings.Lines(fragment) {
			if strings.HasPrefix(line, prefix) {
				return line
			}
		}
		return ""
	}
	var b strings.Builder
	for line := range strings.Lines(answer) {
		for _, prefix := range []string{"a=ice-ufrag:", "a=ice-pwd:"} {
			if strings.HasPrefix(line, prefix) {
				line = of(prefix)
			}
		}
		b.WriteString(line)
	}
	return b.String()
}

func TestFullNodeSaysSo(t *testing.T) {
	d := open(t, func(c *rtc.Config) { c.MaxSessions, c.MaxRooms = 2, 1 })
	offer := viewerOffer(t)
	post := func(room string) (int, string) {
		resp, text := ask(t, "POST", d.url+"/whep/"+room, "application/sdp", offer)
		return resp.StatusCode, text
	}
	if status, text := post("a"); status != 201 {
		t.Fatalf("%d: %s", status, text)
	}
	if status, text := post("b"); status != 503 || !strings.Contains(text, "1 rooms already") {
		t.Errorf("%d: %s", status, text)
	}
	if status, text := post("a"); status != 201 {
		t.Fatalf("%d: %s", status, text)
	}
	if status, text := post("a"); status != 503 || !strings.Contains(text, "2 sessions already") {
		t.Errorf("%d: %s", status, text)
	}
}

func FuzzBodies(f *testing.F) {
	rules := newHouse()
	srv, err := rtc.Listen(f.Context(), rtc.Config{Rules: rules})
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx) }()
	f.Cleanup(func() { cancel(); <-ended })
	offer := viewerOffer(f)
	f.Add(offer, "a=end-of-candidates\r\n")
	f.Add(strings.ReplaceAll(offer, "recvonly", "sendonly"), "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n")
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=recvonly\r\n", "m=audio 9 a b\r\na=mid:\r\na=candidate:\r\n")
	f.Fuzz(func(t *testing.T, offer, fragment string) {
		for _, path := range []string{"/whip/a", "/whep/a"} {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(offer))
			r.Header.Set("Content-Type", "application/sdp")
			srv.ServeHTTP(w, r)
			if w.Code == http.StatusInternalServerError {
				t.Fatalf("%s: the node failed", path)
			}
			if w.Code != http.StatusCreated {
				continue
			}
			for _, match := range []string{w.Header().Get("ETag"), "*"} {
				patch := httptest.NewRequest(http.MethodPatch, w.Header().Get("Location"), strings.NewReader(fragment))
				patch.Header.Set("Content-Type", "application/trickle-ice-sdpfrag")
				patch.Header.Set("If-Match", match)
				srv.ServeHTTP(httptest.NewRecorder(), patch)
			}
			end := httptest.NewRecorder()
			srv.ServeHTTP(end, httptest.NewRequest(http.MethodDelete, w.Header().Get("Location"), http.NoBody))
			if end.Code != http.StatusOK {
				t.Fatalf("DELETE: %d", end.Code)
			}
		}
	})
}
