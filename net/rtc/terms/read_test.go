package terms_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"

	"github.com/skua-go/skua/net/rtc/terms"
)

// offer makes one of lines, each of the form "kind attribute attribute ...", where a + in an attribute is a space, and !key leaves out what each line has.
func offer(session string, lines ...string) string {
	var b strings.Builder
	write := func(s string) { b.WriteString(s + "\r\n") }
	write("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0")
	for _, a := range strings.Fields(session) {
		write("a=" + strings.ReplaceAll(a, "+", " "))
	}
	for i, l := range lines {
		f := strings.Fields(l)
		port, protocol, formats := "9", "UDP/TLS/RTP/SAVPF", "111"
		all := []string{"mid:" + strconv.Itoa(i), "ice-ufrag:abcd", "ice-pwd:0123456789012345678901", "setup:actpass", "fingerprint:sha-256 " + fingerprint(32), "rtcp-mux"}
		switch f[0] {
		case "audio":
			all = append(all, "rtpmap:111 opus/48000/2")
		case "video":
			formats = "96"
			all = append(all, "rtpmap:96 VP8/90000")
		case "application":
			protocol, formats = "UDP/DTLS/SCTP", "webrtc-datachannel"
		}
		for _, a := range f[1:] {
			a = strings.ReplaceAll(a, "+", " ")
			if key, ok := strings.CutPrefix(a, "!"); ok {
				all = slices.DeleteFunc(all, func(s string) bool { return strings.HasPrefix(s, key) })
			} else if v, ok := strings.CutPrefix(a, "port="); ok {
				port = v
			} else if v, ok := strings.CutPrefix(a, "protocol="); ok {
				protocol = v
			} else if v, ok := strings.CutPrefix(a, "formats="); ok {
				formats = strings.ReplaceAll(v, ",", " ")
			} else {
				all = append(all, a)
			}
		}
		write("m=" + f[0] + " " + port + " " + protocol + " " + formats)
		write("c=IN IP4 0.0.0.0")
		for _, a := range all {
			write("a=" + a)
		}
	}
	return b.String()
}

func fingerprint(n int) string { return strings.TrimSuffix(strings.Repeat("0A:", n), ":") }

const bundle = "group:BUNDLE+0+1+2"

func TestWrongOffersAreRefusedWithAReason(t *testing.T) {
	many := func(n int, each func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(" " + each(i))
		}
		return b.String()
	}
	for _, c := range []struct {
		name, offer, reason string
		d                   terms.Direction
	}{
		{"no SDP", "hello", "the offer is no SDP", terms.Publish},
		{"nothing", "", "", terms.Publish},
		{"a line within a line", strings.Replace(offer("", "audio sendonly"), "mid:0", "mid:0\rm=audio", 1), "carriage return", terms.Publish},
		{"no media", offer(""), "no line of the offer sends audio or video: expected a=sendonly", terms.Publish},
		{"only data", offer(bundle, "application"), "expected a=sendonly", terms.Publish},
		{"a publisher that receives", offer("", "audio recvonly"), "no line of the offer sends audio or video: expected a=sendonly", terms.Publish},
		{"a viewer that sends", offer("", "audio sendonly"), "no line of the offer receives audio or video: expected a=recvonly", terms.Play},
		{"all switched off", offer("", "audio port=0 sendonly"), "expected a=sendonly", terms.Publish},
		{"text", offer(bundle, "audio", "text"), `the offer has a line of "text", expected audio, video and application`, terms.Publish},
		{"65 lines", offer("", slices.Repeat([]string{"audio"}, 65)...), "65 lines of media, expected 64", terms.Publish},
		{"129 formats", offer("", "audio formats=111"+strings.Repeat(",111", 128)), "129 formats, expected 128", terms.Publish},
		{"no bundle", offer("", "audio", "video"), "2 lines of media and no a=group:BUNDLE", terms.Publish},
		{"another group", offer("group:LS+0+1", "audio", "video"), "no a=group:BUNDLE", terms.Publish},
		{"a bundle of others", offer("group:BUNDLE+7", "audio", "video"), "none of the lines", terms.Publish},
		{"a bundle of data", offer("group:BUNDLE+1", "audio", "application"), "none of the lines", terms.Publish},
		{"no mid", offer(bundle, "audio", "video !mid"), "line 2 of the offer has no a=mid", terms.Publish},
		{"a mid twice", offer(bundle, "audio", "video !mid mid:0"), "two lines of the offer have a=mid:0", terms.Publish},
		{"a mid of two words", offer(bundle, "audio !mid mid:a+b"), "without spaces", terms.Publish},
		{"a long mid", offer(bundle, "audio !mid mid:"+strings.Repeat("a", 65)), "up to 64 letters", terms.Publish},
		{"no ufrag", offer("", "audio !ice-ufrag"), "the offer has no a=ice-ufrag", terms.Publish},
		{"no pwd", offer("", "audio !ice-pwd"), "the offer has no a=ice-pwd", terms.Publish},
		{"a short ufrag", offer("", "audio !ice-ufrag ice-ufrag:abc"), "a=ice-ufrag of the offer is not of 4 to 256", terms.Publish},
		{"a short pwd", offer("", "audio !ice-pwd ice-pwd:abcdefghijklmnopqrstu"), "a=ice-pwd of the offer is not of 22 to 256", terms.Publish},
		{"a long ufrag", offer("", "audio !ice-ufrag ice-ufrag:"+strings.Repeat("a", 257)), "not of 4 to 256", terms.Publish},
		{"an odd ufrag", offer("", "audio !ice-ufrag ice-ufrag:a:bcd"), "letters, digits, + and /", terms.Publish},
		{"no fingerprint", offer("", "audio !fingerprint"), "the offer has no a=fingerprint", terms.Publish},
		{"an old hash", offer("", "audio !fingerprint fingerprint:sha-1+"+fingerprint(20)), "a=fingerprint:sha-1, expected sha-256", terms.Publish},
		{"half a fingerprint", offer("", "audio !fingerprint fingerprint:sha-256+"+fingerprint(16)), "is not 32 bytes", terms.Publish},
		{"a fingerprint of words", offer("", "audio !fingerprint fingerprint:sha-256+"+strings.Repeat("XY:", 31)+"XY"), "is not 32 bytes", terms.Publish},
		{"a passive client", offer("", "audio !setup setup:passive"), "a=setup:passive, expected actpass or active", terms.Publish},
		{"a client that waits", offer("", "audio !setup setup:holdconn"), "a=setup:holdconn, expected", terms.Publish},
		{"RTCP elsewhere", offer("", "audio !rtcp-mux"), "line 1 of the offer has no a=rtcp-mux", terms.Publish},
		{"no common codec", offer("", "audio !rtpmap rtpmap:111+PCMU/8000"), "no line of the offer has a codec that the node has", terms.Publish},
		{"media in the clear", offer("", "audio protocol=RTP/AVP"), "over UDP/TLS/RTP/SAVPF", terms.Publish},
		{"17 sources", offer("", "audio"+many(17, func(i int) string { return "ssrc:" + strconv.Itoa(i) + "+cname:x" })), "more than 16 sources", terms.Publish},
		{"9 layers", offer("", "video extmap:1+"+sdp.SDESRTPStreamIDURI+many(9, func(i int) string { return "rid:" + strconv.Itoa(i) + "+send" })), "more than 8 layers", terms.Publish},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := terms.Read(c.offer, c.d)
			var refused *terms.Error
			if !errors.As(err, &refused) || !strings.Contains(refused.Reason, c.reason) || refused.Reason == "" {
				t.Errorf("%v, expected %q", err, c.reason)
			}
		})
	}
}

func TestLinesThatCannotBeOfUseAreAnsweredSoThatTheOthersWork(t *testing.T) {
	for _, c := range []struct {
		name, offer string
		d           terms.Direction
		group       string
		rejected    []bool
		parts       []string
	}{
		{"one line needs neither bundle nor mid", offer("", "audio !mid"), terms.Publish, "", []bool{false}, []string{"a=recvonly"}},
		{"who says nothing sends and receives", offer("", "audio"), terms.Play, "", []bool{false}, []string{"a=sendonly"}},
		{"by the session", offer("recvonly", "audio"), terms.Play, "", []bool{false}, []string{"a=sendonly"}},
		{"switched off", offer(bundle, "audio port=0 !mid", "video"), terms.Publish, "1", []bool{true, false}, []string{"m=audio 0 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\nm=video 9"}},
		{"something else that is switched off", offer(bundle, "audio", "text port=0"), terms.Publish, "0", []bool{false, true}, []string{"m=text 0 UDP/TLS/RTP/SAVPF 111\r\n"}},
		{"outside of the bundle", offer("group:BUNDLE+1", "audio", "video"), terms.Publish, "1", []bool{true, false}, []string{"m=audio 0 "}},
		{"the other direction", offer(bundle, "audio recvonly", "video"), terms.Publish, "0 1", []bool{true, false}, []string{"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", "a=inactive"}},
		{"the other direction without a codec", offer(bundle, "audio recvonly !rtpmap", "video"), terms.Publish, "1", []bool{true, false}, []string{"m=audio 0 "}},
		{"a codec of nobody", offer(bundle, "audio", "video !rtpmap rtpmap:96+theora/90000"), terms.Publish, "0", []bool{false, true}, []string{"m=video 0 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\n"}},
		{"two lines of data", offer(bundle, "audio", "application", "application"), terms.Publish, "0 1", []bool{false, false, true}, []string{"m=application 0 UDP/DTLS/SCTP webrtc-datachannel"}},
		{"data of the old form", offer(bundle, "audio", "application protocol=DTLS/SCTP formats=5000"), terms.Publish, "0", []bool{false, true}, []string{"m=application 0 DTLS/SCTP 5000"}},
		{"data on another port", offer(bundle, "audio", "application sctp-port:5001"), terms.Publish, "0", []bool{false, true}, nil},
		{"another order of the bundle", offer("group:BUNDLE+1+0", "audio !ice-ufrag ice-ufrag:other", "video"), terms.Publish, "1 0", []bool{false, false}, []string{"a=recvonly\r\na=candidate:1 "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := terms.Read(c.offer, c.d)
			if err != nil {
				t.Fatal(err)
			}
			for i, l := range o.Lines {
				if l.Rejected != c.rejected[i] {
					t.Errorf("line %d: %+v", i, l)
				}
			}
			if o.Ufrag != "abcd" {
				t.Errorf("the transport is that of %s", o.Ufrag)
			}
			answer := o.Answer(own())
			_, group, _ := strings.Cut(answer, "a=group:BUNDLE ")
			if group, _, _ = strings.Cut(group, "\r\n"); group != c.group {
				t.Errorf("the bundle is %q, expected %q", group, c.group)
			}
			for _, part := range c.parts {
				if !strings.Contains(answer, part) {
					t.Errorf("the answer lacks %q: %s", part, answer)
				}
			}
			if strings.Count(answer, "a=end-of-candidates") != 1 {
				t.Errorf("candidates: %s", answer)
			}
		})
	}
}

func TestCodecsAreThoseThatTheNodeUnderstands(t *testing.T) {
	h264 := func(parameters string) string { return "video !rtpmap rtpmap:96+H264/90000 fmtp:96+" + parameters }
	for _, c := range []struct {
		line string
		want string // numbers
	}{
		{"audio", "111"},
		{"audio !rtpmap rtpmap:111+OPUS/48000/2", "111"},
		{"audio !rtpmap rtpmap:111+opus/48000", "111"},
		{"audio !rtpmap rtpmap:111+opus/48000/1", ""},
		{"audio !rtpmap rtpmap:111+opus/16000/2", ""},
		{"audio !rtpmap rtpmap:111+VP8/90000", ""},
		{"audio formats=70,111 rtpmap:70+opus/48000/2", "111"}, // would be taken for RTCP
		{"audio formats=111,111,128,-1,x", "111"},
		{h264("packetization-mode=1;profile-level-id=42e01f"), "96"},
		{h264("profile-level-id=42E034;+packetization-mode=1"), "96"},
		{h264("packetization-mode=1"), "96"},
		{h264("profile-level-id=42e01f"), ""},
		{h264("packetization-mode=0;profile-level-id=42e01f"), ""},
		{h264("packetization-mode=1;profile-level-id=42c01f"), "96"}, // no other is there
		{h264("packetization-mode=1;profile-level-id=42c01f") + " formats=96,97 rtpmap:97+H264/90000 fmtp:97+packetization-mode=1;profile-level-id=64001f", "97"},
		{"video formats=96,97,98,99 rtpmap:97+VP9/90000 rtpmap:98+VP9/90000 fmtp:98+profile-id=2 rtpmap:99+VP9/90000 fmtp:99+profile-id=1", "96 97 98"},
		{"video formats=97,96 rtpmap:97+AV1/90000 fmtp:97+level-idx=5;profile=0;tier=0", "97 96"},
		{"video formats=97,98 rtpmap:97+AV1/90000 fmtp:97+profile=1 rtpmap:98+H265/90000", "98"},
		{"video formats=96,97,98 rtpmap:97+rtx/90000 fmtp:97+apt=96 rtpmap:98+flexfec-03/90000", "96"},
	} {
		o, err := terms.Read(offer("group:BUNDLE+0+1", c.line, "audio"), terms.Publish)
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		var got []string
		for _, codec := range o.Lines[0].Codecs {
			got = append(got, strconv.Itoa(int(codec.PT)))
		}
		if s := strings.Join(got, " "); s != c.want || o.Lines[0].Rejected != (c.want == "") {
			t.Errorf("%s: %q, expected %q", c.line, s, c.want)
		}
	}
}

func TestExtensionsSourcesAndLayersThatAreOddAreLeftOut(t *testing.T) {
	o, err := terms.Read(offer(bundle,
		"audio extmap:200+"+sdp.AudioLevelURI+" extmap:15+"+sdp.SDESMidURI+" extmap:0+"+sdp.SDESMidURI+" extmap:256+"+sdp.SDESMidURI,
		"video extmap:1+"+sdp.SDESMidURI+" extmap:1+"+sdp.TransportCCURI+" extmap:2+"+sdp.SDESMidURI+" extmap:3/recvonly+"+sdp.TransportCCURI+" extmap:4+"+sdp.SDESRTPStreamIDURI+
			" ssrc:1+msid:s+t ssrc:2+cname:x ssrc:3+cname:x ssrc:1+cname:x ssrc:x ssrc-group:FID+1+2 ssrc-group:FEC-FR+1+3"+
			" rid:a+send rid:b+send rid:c+recv rid:d+send rid:e/+send simulcast:recv+c+send+~b,a;d;x;d rtcp-fb:*+NACK+PLI rtcp-fb:96+nack",
		"application max-message-size:0"), terms.Publish)
	if err != nil {
		t.Fatal(err)
	}
	a, v := &o.Lines[0], &o.Lines[1]
	if a.Level != 200 || a.MidExt != 0 || v.MidExt != 1 || v.Congestion != 0 || v.RidExt != 4 {
		t.Errorf("extensions: %+v, %+v", a, v)
	}
	if !slices.Equal(v.SSRCs, []uint32{1}) || v.Stream != "s" || v.Track != "t" {
		t.Errorf("sources: %+v", v)
	}
	if !slices.Equal(v.Rids, []string{"b", "d"}) || !strings.Contains(o.Answer(own()), "a=simulcast:recv ~b;d\r\n") {
		t.Errorf("layers: %q", v.Rids)
	}
	if !v.NACK || !v.PLI || v.FIR {
		t.Errorf("feedback: %+v", v)
	}
	if o.Lines[2].MaxMessage != 1<<32-1 {
		t.Errorf("messages of %d bytes", o.Lines[2].MaxMessage)
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"chrome-whip", "firefox-whip", "safari-whep", "obs-whip", "gstreamer-whip"} {
		f.Add(recording(f, name))
	}
	f.Add(offer(bundle, "audio port=0 !mid", "video", "application"))
	f.Add(offer("recvonly group:BUNDLE+1+0", "audio", "video bundle-only port=0"))
	f.Fuzz(func(t *testing.T, text string) {
		for _, d := range []terms.Direction{terms.Publish, terms.Play} {
			o, err := terms.Read(text, d)
			if err != nil {
				var refused *terms.Error
				if !errors.As(err, &refused) {
					t.Fatalf("%T", err)
				}
				continue
			}
			var asked, back sdp.SessionDescription
			if err := asked.UnmarshalString(text); err != nil {
				t.Fatal(err)
			}
			answer := o.Answer(own())
			if err := back.UnmarshalString(answer); err != nil {
				t.Fatalf("%v: %q", err, answer)
			}
			if len(asked.MediaDescriptions) != len(o.Lines) || len(back.MediaDescriptions) != len(o.Lines) {
				t.Fatalf("%d lines, %d of the answer: %q", len(o.Lines), len(back.MediaDescriptions), answer)
			}
			used := 0
			for i, m := range back.MediaDescriptions {
				offered := asked.MediaDescriptions[i]
				if m.MediaName.Media != offered.MediaName.Media || !slices.Equal(m.MediaName.Protos, offered.MediaName.Protos) {
					t.Fatalf("line %d is %s", i, m.MediaName.String())
				}
				mid, _ := m.Attribute("mid")
				if was, _ := offered.Attribute("mid"); mid != was || mid != o.Lines[i].Mid {
					t.Fatalf("line %d is called %q, not %q", i, mid, was)
				}
				if !o.Lines[i].Rejected {
					used++
				}
			}
			if used == 0 || o.Ufrag == "" || o.Pwd == "" || o.Fingerprint == "" {
				t.Fatalf("%+v", o)
			}
			if fragment := o.Fragment(own()); strings.Count(fragment, "\nm=") != 1 || !strings.HasSuffix(fragment, "a=end-of-candidates\r\n") {
				t.Fatalf("%q", fragment)
			}
		}
	})
}
