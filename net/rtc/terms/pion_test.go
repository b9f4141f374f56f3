package terms_test

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pion/interceptor"
	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"

	"github.com/skua-go/skua/net/rtc/terms"
)

// own is a node with an address of each kind.
func own() terms.Own {
	return terms.Own{
		Ufrag: "nodenodenode", Pwd: "passwordpasswordpassword", Hash: "sha-256", Fingerprint: strings.TrimSuffix(strings.Repeat("AB:", 32), ":"),
		Candidates: []terms.Candidate{
			{Addr: netip.MustParseAddrPort("192.0.2.1:7088")},
			{Addr: netip.MustParseAddrPort("[2001:db8::1]:7088")},
			{Addr: netip.MustParseAddrPort("192.0.2.1:7089"), TCP: true},
		},
		Stream: func(line int) (stream, track string) {
			return "slot-" + strconv.Itoa(line), "track-" + strconv.Itoa(line)
		},
	}
}

// client is a PeerConnection of the codecs and header extensions that a browser has.
func client(t testing.TB) *pion.PeerConnection {
	t.Helper()
	media := new(pion.MediaEngine)
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{sdp.SDESMidURI, sdp.SDESRTPStreamIDURI, sdp.SDESRepairRTPStreamIDURI, sdp.TransportCCURI} {
		if err := media.RegisterHeaderExtension(pion.RTPHeaderExtensionCapability{URI: uri}, pion.RTPCodecTypeVideo); err != nil {
			t.Fatal(err)
		}
	}
	for _, uri := range []string{sdp.SDESMidURI, sdp.AudioLevelURI} {
		if err := media.RegisterHeaderExtension(pion.RTPHeaderExtensionCapability{URI: uri}, pion.RTPCodecTypeAudio); err != nil {
			t.Fatal(err)
		}
	}
	media.RegisterFeedback(pion.RTCPFeedback{Type: pion.TypeRTCPFBTransportCC}, pion.RTPCodecTypeVideo)
	pc, err := pion.NewAPI(pion.WithMediaEngine(media), pion.WithInterceptorRegistry(new(interceptor.Registry))).NewPeerConnection(pion.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	return pc
}

func send(t testing.TB, pc *pion.PeerConnection, mime string, rids ...string) {
	t.Helper()
	track := func(rid string) *pion.TrackLocalStaticRTP {
		var options []func(*pion.TrackLocalStaticRTP)
		if rid != "" {
			options = append(options, pion.WithRTPStreamID(rid))
		}
		tr, err := pion.NewTrackLocalStaticRTP(pion.RTPCodecCapability{MimeType: mime}, mime[:5], "camera", options...)
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	if len(rids) == 0 {
		rids = []string{""}
	}
	tr, err := pc.AddTransceiverFromTrack(track(rids[0]), pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionSendonly})
	if err != nil {
		t.Fatal(err)
	}
	for _, rid := range rids[1:] {
		if err := tr.Sender().AddEncoding(track(rid)); err != nil {
			t.Fatal(err)
		}
	}
}

func receive(t testing.TB, pc *pion.PeerConnection, kinds ...pion.RTPCodecType) {
	t.Helper()
	for _, kind := range kinds {
		if _, err := pc.AddTransceiverFromKind(kind, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
}

func channel(t testing.TB, pc *pion.PeerConnection) {
	t.Helper()
	if _, err := pc.CreateDataChannel("room", nil); err != nil {
		t.Fatal(err)
	}
}

func offerOf(t testing.TB, pc *pion.PeerConnection) string {
	t.Helper()
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	return offer.SDP
}

func TestPeerConnectionTakesTheAnswer(t *testing.T) {
	const audio, video = pion.RTPCodecTypeAudio, pion.RTPCodecTypeVideo
	for _, c := range []struct {
		name  string
		d     terms.Direction
		make  func(pc *pion.PeerConnection)
		kinds []terms.Kind
		check func(t *testing.T, o *terms.Offer, answer string)
	}{
		{"a publisher", terms.Publish, func(pc *pion.PeerConnection) {
			send(t, pc, pion.MimeTypeOpus)
			send(t, pc, pion.MimeTypeVP8)
			channel(t, pc)
		}, []terms.Kind{terms.Audio, terms.Video, terms.Data}, func(t *testing.T, o *terms.Offer, answer string) {
			a, v := o.Lines[0], o.Lines[1]
			if a.Level == 0 || a.MidExt == 0 || v.MidExt == 0 || v.RidExt == 0 || v.RepairedExt == 0 || v.Congestion == 0 {
				t.Errorf("header extensions: %+v, %+v", a, v)
			}
			if !v.NACK || !v.PLI || !v.FIR || a.NACK || !strings.Contains(answer, "a=rtcp-fb:96 transport-cc") {
				t.Errorf("feedback: %s", answer)
			}
			if len(v.SSRCs) != 1 || v.Stream != "camera" || v.Track != "video" || len(v.Rids) != 0 {
				t.Errorf("sources: %+v", v)
			}
		}},
		{"layers", terms.Publish, func(pc *pion.PeerConnection) { send(t, pc, pion.MimeTypeVP8, "h", "m", "l") }, []terms.Kind{terms.Video}, func(t *testing.T, o *terms.Offer, answer string) {
			if got := o.Lines[0].Rids; !slices.Equal(got, []string{"h", "m", "l"}) || !strings.Contains(answer, "a=rid:m recv\r\n") || !strings.Contains(answer, "a=simulcast:recv h;m;l\r\n") {
				t.Errorf("layers %q: %s", got, answer)
			}
		}},
		{
			"a viewer", terms.Play, func(pc *pion.PeerConnection) { receive(t, pc, audio, video, video); channel(t, pc) },
			[]terms.Kind{terms.Audio, terms.Video, terms.Video, terms.Data},
			func(t *testing.T, o *terms.Offer, answer string) {
				if strings.Contains(answer, "transport-cc") || strings.Contains(answer, "extmap:") {
					t.Errorf("what publishers are asked for: %s", answer)
				}
				for _, part := range []string{"a=ssrc:1002 cname:slot-2\r\n", "a=ssrc:1002 msid:slot-2 track-2\r\n", "a=msid:slot-2 track-2\r\n"} {
					if !strings.Contains(answer, part) {
						t.Errorf("the answer lacks %q: %s", part, answer)
					}
				}
			},
		},
		{"a viewer that sends as well", terms.Play, func(pc *pion.PeerConnection) { receive(t, pc, video); send(t, pc, pion.MimeTypeOpus) }, nil, func(t *testing.T, o *terms.Offer, answer string) {
			if l := o.Lines; l[0].Rejected || !l[1].Rejected || !strings.Contains(answer, "a=group:BUNDLE 0 1\r\n") || !strings.Contains(answer, "a=inactive") {
				t.Errorf("%+v: %s", l, answer)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			pc := client(t)
			c.make(pc)
			o, err := terms.Read(offerOf(t, pc), c.d)
			if err != nil {
				t.Fatal(err)
			}
			for i, k := range c.kinds {
				if o.Lines[i].Kind != k || o.Lines[i].Rejected {
					t.Errorf("line %d: %+v, expected %s", i, o.Lines[i], k)
				}
			}
			for i := range o.Lines {
				o.Lines[i].SSRC = uint32(1000 + i)
			}
			answer := o.Answer(own())
			c.check(t, o, answer)
			if err := pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: answer}); err != nil {
				t.Fatalf("%v: %s", err, answer)
			}
			var back sdp.SessionDescription
			if err := back.UnmarshalString(answer); err != nil {
				t.Fatal(err)
			}
			for i, m := range back.MediaDescriptions {
				way := sdp.AttrKeyRecvOnly
				switch {
				case o.Lines[i].Kind == terms.Data:
					continue
				case o.Lines[i].Rejected:
					way = sdp.AttrKeyInactive
				case c.d == terms.Play:
					way = sdp.AttrKeySendOnly
				}
				if _, ok := m.Attribute(way); !ok {
					t.Errorf("line %d is not %s: %+v", i, way, m)
				}
			}
		})
	}
}

func TestPeerConnectionSendsAndReceivesTheCodecsAgreedUpon(t *testing.T) {
	pc := client(t)
	send(t, pc, pion.MimeTypeH264)
	o, err := terms.Read(offerOf(t, pc), terms.Publish)
	if err != nil {
		t.Fatal(err)
	}
	var h264 int
	for _, c := range o.Lines[0].Codecs {
		if c.Mime == pion.MimeTypeH264 {
			h264++
			if !strings.Contains(c.Fmtp, "packetization-mode=1") {
				t.Errorf("%+v", c)
			}
		}
		if strings.Contains(strings.ToLower(c.Mime), "rtx") {
			t.Errorf("%+v", c)
		}
	}
	if h264 == 0 {
		t.Fatalf("no H264 in %+v", o.Lines[0].Codecs)
	}
	if err := pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: o.Answer(own())}); err != nil {
		t.Fatal(err)
	}
	got := pc.GetTransceivers()[0].Sender().GetParameters().Codecs
	if len(got) != len(o.Lines[0].Codecs) {
		t.Fatalf("codecs of the client %+v, of the node %+v", got, o.Lines[0].Codecs)
	}
	for i, c := range o.Lines[0].Codecs {
		if got[i].MimeType != c.Mime || uint8(got[i].PayloadType) != c.PT {
			t.Errorf("codec %d: the client has %+v, the node %+v", i, got[i], c)
		}
	}
}
