package terms_test

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/skua-go/skua/net/rtc/terms"
)

//go:embed testdata/*.sdp
var recorded embed.FS

// recording is an offer of the form that a program makes.
func recording(t testing.TB, name string) string {
	t.Helper()
	b, err := recorded.ReadFile("testdata/" + name + ".sdp")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\n", "\r\n")
}

// summary is what has been agreed upon for a line.
func summary(l *terms.Line) string {
	s := l.Kind.String() + " " + l.Mid
	for _, c := range l.Codecs {
		s += fmt.Sprintf(" %d=%s", c.PT, c.Mime)
	}
	return s
}

func TestOffersOfTheProgramsThatThereAre(t *testing.T) {
	for _, c := range []struct {
		name   string
		d      terms.Direction
		ufrag  string
		lines  []string
		layers []string
		ssrcs  []uint32
		parts  []string // of the answer
		not    []string
	}{
		{"chrome-whip", terms.Publish, "4ZcD", []string{
			"audio 0 111=audio/opus",
			"video 1 96=video/VP8 103=video/H264 109=video/H264 117=video/H264 45=video/AV1 98=video/VP9 100=video/VP9 49=video/H265 119=video/H264",
			"application 2",
		}, []string{"h", "l"}, nil, []string{
			"a=group:BUNDLE 0 1 2\r\n", "a=extmap-allow-mixed", "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level", "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
			"a=extmap:3 http://www.ietf.org/id/draft-holmer", "a=rid:h recv", "a=simulcast:recv h;l\r\n", "a=rtcp-fb:109 transport-cc", "a=fmtp:111 minptime=10;useinbandfec=1\r\n",
			"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", "a=sctp-port:5000\r\n", "a=max-message-size:16384\r\n", "a=rtcp-rsize",
		}, []string{"goog-remb", "rtx", "red/", "abs-send-time", "a=rtcp-fb:111", "a=rtcp-fb:119", "a=ssrc", "a=msid:"}},
		{
			"firefox-whip", terms.Publish, "93af2d1c",
			[]string{"audio 0 109=audio/opus", "video 1 120=video/VP8 121=video/VP9 126=video/H264"},
			[]string{"hi", "lo"},
			[]uint32{2021474831, 3560814029},
			[]string{
				"a=group:BUNDLE 0 1\r\n", "m=video 9 ", "a=extmap:8/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1",
				"a=simulcast:recv hi;~lo\r\n", "a=recvonly",
			},
			[]string{"csrc-audio-level", "a=sendrecv"},
		},
		{
			"safari-whep", terms.Play, "rvKx",
			[]string{"audio 0 111=audio/opus", "video 1 98=video/H264 100=video/H265 103=video/VP8 106=video/VP9"},
			nil, nil,
			[]string{"a=sendonly", "a=msid:slot-1 track-1", "a=ssrc:7001 cname:slot-1", "a=rtcp-fb:98 ccm fir"},
			[]string{"transport-cc", "a=extmap:"},
		},
		{"obs-whip", terms.Publish, "Qd1k", []string{"audio 0 111=audio/opus", "video 1 96=video/H264"}, nil, []uint32{2088402432}, []string{"a=rtcp-fb:96 nack pli"}, []string{"a=rtcp-rsize", "fir", "extmap"}},
		{
			"gstreamer-whip", terms.Publish, "x3Lz3MZvNlZQ0cS/tVn4F1k+2y8Y2dP5",
			[]string{"video video0 96=video/H264", "audio audio1 97=audio/opus"},
			nil,
			[]uint32{1787436519},
			[]string{"a=group:BUNDLE video0 audio1", "m=audio 9 UDP/TLS/RTP/SAVPF 97\r\n", "a=rtpmap:97 opus/48000/2\r\n", "a=rtcp-fb:96 transport-cc"},
			[]string{"a=rtcp-fb:96 nack\r\n"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := terms.Read(recording(t, c.name), c.d)
			if err != nil {
				t.Fatal(err)
			}
			if o.Ufrag != c.ufrag || o.Pwd == "" || o.Hash != "sha-256" || len(o.Fingerprint) != 95 {
				t.Errorf("transport: %+v", o)
			}
			var got []string
			for i := range o.Lines {
				l := &o.Lines[i]
				got = append(got, summary(l))
				if l.Rejected {
					t.Errorf("line %d is rejected", i)
				}
				if l.Kind == terms.Video && (!slices.Equal(l.Rids, c.layers) || !slices.Equal(l.SSRCs, c.ssrcs)) {
					t.Errorf("layers %q, sources %d", l.Rids, l.SSRCs)
				}
				l.SSRC = uint32(7000 + i)
			}
			if !slices.Equal(got, c.lines) {
				t.Errorf("lines\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(c.lines, "\n"))
			}
			answer := o.Answer(own())
			for _, part := range c.parts {
				if !strings.Contains(answer, part) {
					t.Errorf("the answer lacks %q", part)
				}
			}
			for _, part := range c.not {
				if strings.Contains(answer, part) {
					t.Errorf("the answer has %q", part)
				}
			}
			if t.Failed() {
				t.Log(answer)
			}
			if again := o.Answer(own()); again != answer {
				t.Errorf("answered otherwise the second time: %s", again)
			}
		})
	}
}

func TestFragmentOfARestartNamesTheBundleAndWhereTheNodeIs(t *testing.T) {
	o, err := terms.Read(recording(t, "obs-whip"), terms.Publish)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"a=ice-lite", "a=group:BUNDLE 0 1", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=ice-ufrag:nodenodenode", "a=ice-pwd:passwordpasswordpassword",
		"a=candidate:1 1 udp 2130706431 192.0.2.1 7088 typ host", "a=candidate:2 1 udp 2130706175 2001:db8::1 7088 typ host",
		"a=candidate:3 1 tcp 2124414463 192.0.2.1 7089 typ host tcptype passive", "a=end-of-candidates", "",
	}, "\r\n")
	if got := o.Fragment(own()); got != want {
		t.Errorf("the fragment is\n%s\nexpected\n%s", got, want)
	}
}
