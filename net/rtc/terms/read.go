package terms

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

const (
	maxLines = 64
	maxMid   = 64 // characters
)

// Read reads an offer and settles what both sides have. Its errors are of type *Error.
func Read(text string, d Direction) (*Offer, error) {
	var s sdp.SessionDescription
	if strings.Count(text, "\r") != strings.Count(text, "\r\n") {
		return nil, refuse("the offer is no SDP: there is a carriage return inside of a line")
	}
	if err := s.UnmarshalString(text); err != nil {
		return nil, refuse("the offer is no SDP: %v", err)
	}
	if len(s.MediaDescriptions) > maxLines {
		return nil, refuse("the offer has %d lines of media, expected %d at most", len(s.MediaDescriptions), maxLines)
	}
	r := reader{session: &s, offer: &Offer{direction: d, Lines: make([]Line, len(s.MediaDescriptions))}}
	r.offer.Lite, r.offer.mixed = has(s.Attributes, sdp.AttrKeyICELite), has(s.Attributes, sdp.AttrKeyExtMapAllowMixed)
	for _, step := range []func() error{r.readLines, r.readMids, r.readMedia, r.readBundle, r.readTransport} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	r.offer.detach()
	return r.offer, nil
}

// detach copies what is part of the client's text, which need not be kept as long as the session: it is some KB.
func (o *Offer) detach() {
	own := func(all ...*string) {
		for _, s := range all {
			*s = strings.Clone(*s)
		}
	}
	own(&o.Ufrag, &o.Pwd, &o.Hash, &o.Fingerprint)
	for i := range o.Lines {
		l := &o.Lines[i]
		own(&l.Mid, &l.Stream, &l.Track, &l.media, &l.protocol, &l.formats, &l.layers)
		for i := range l.Rids {
			own(&l.Rids[i])
		}
		for i := range l.Codecs {
			c := &l.Codecs[i]
			own(&c.Mime, &c.Fmtp)
			for i := range c.feedback {
				own(&c.feedback[i])
			}
		}
		for i := range l.extensions {
			own(&l.extensions[i].uri)
		}
	}
}

// reader is an offer that is being read.
type reader struct {
	session *sdp.SessionDescription
	offer   *Offer
}

func value(as []sdp.Attribute, key string) (string, bool) {
	for i := range as {
		if as[i].Key == key {
			return as[i].Value, true
		}
	}
	return "", false
}

func has(as []sdp.Attribute, key string) bool {
	_, ok := value(as, key)
	return ok
}

// readLines finds out what each line is of, and whether it is of use.
func (r *reader) readLines() error {
	mine, word := sdp.AttrKeySendOnly, "sends"
	if r.offer.direction == Play {
		mine, word = sdp.AttrKeyRecvOnly, "receives"
	}
	useful, data := false, false
	for i, m := range r.session.MediaDescriptions {
		l := &r.offer.Lines[i]
		l.Mid, _ = value(m.Attributes, sdp.AttrKeyMID)
		l.media, l.protocol, l.formats = m.MediaName.Media, strings.Join(m.MediaName.Protos, "/"), strings.Join(m.MediaName.Formats, " ")
		l.Kind = kindOf(l.media)
		if l.Kind == 0 && !r.off(i) {
			return refuse("the offer has a line of %q, expected audio, video and application", l.media)
		}
		if len(m.MediaName.Formats) > maxFormats {
			return refuse("line %d of the offer has %d formats, expected %d at most", i+1, len(m.MediaName.Formats), maxFormats)
		}
		switch {
		case r.off(i):
			l.Rejected = true
		case l.Kind == Data:
			l.Rejected = data || !readData(l, m)
			data = data || !l.Rejected
		default:
			way := r.way(m)
			l.inactive = way != mine && way != sdp.AttrKeySendRecv
			l.Rejected = l.inactive
			useful = useful || !l.inactive
		}
	}
	if !useful {
		return refuse("no line of the offer %s audio or video: expected a=%s", word, mine)
	}
	return nil
}

func kindOf(media string) Kind {
	for _, k := range []Kind{Audio, Video, Data} {
		if k.String() == media {
			return k
		}
	}
	return 0
}

// way is the direction of a line (RFC 8866 section 6.7).
func (r *reader) way(m *sdp.MediaDescription) string {
	for _, as := range [][]sdp.Attribute{m.Attributes, r.session.Attributes} {
		for _, a := range as {
			switch a.Key {
			case sdp.AttrKeySendOnly, sdp.AttrKeyRecvOnly, sdp.AttrKeySendRecv, sdp.AttrKeyInactive:
				return a.Key
			}
		}
	}
	return sdp.AttrKeySendRecv
}

// SCTP over DTLS (RFC 8841, RFC 8831).
const (
	sctpPort       = "5000"
	dataFormat     = "webrtc-datachannel"
	unsaidMessage  = 64 << 10 // how long messages may be when the client says nothing
	anyLongMessage = 1<<32 - 1
)

func readData(l *Line, m *sdp.MediaDescription) bool {
	if port, ok := value(m.Attributes, "sctp-port"); ok && port != sctpPort {
		return false
	}
	l.MaxMessage = unsaidMessage
	if text, ok := value(m.Attributes, "max-message-size"); ok {
		if n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64); err == nil {
			l.MaxMessage = uint32(min(n, anyLongMessage))
			if n == 0 {
				l.MaxMessage = anyLongMessage
			}
		}
	}
	return strings.HasSuffix(l.protocol, "/DTLS/SCTP") && l.formats == dataFormat
}

// readMids checks the names of the lines that are not switched off.
func (r *reader) readMids() error {
	seen := map[string]bool{}
	for i := range r.offer.Lines {
		mid := r.offer.Lines[i].Mid
		switch {
		case mid == "":
			if len(r.offer.Lines) > 1 && !r.off(i) {
				return refuse("line %d of the offer has no a=mid", i+1)
			}
		case len(mid) > maxMid || strings.ContainsFunc(mid, func(c rune) bool { return c <= ' ' || c > '~' }):
			return refuse("line %d of the offer has a=mid:%.80q, expected up to %d letters without spaces", i+1, mid, maxMid)
		case seen[mid]:
			return refuse("two lines of the offer have a=mid:%s", mid)
		}
		seen[mid] = true
	}
	return nil
}

// off is that the client has switched a line off.
func (r *reader) off(i int) bool {
	m := r.session.MediaDescriptions[i]
	return m.MediaName.Port.Value == 0 && !has(m.Attributes, "bundle-only")
}

// readMedia finds what both sides have on each line.
func (r *reader) readMedia() error {
	common := false
	for i, m := range r.session.MediaDescriptions {
		l := &r.offer.Lines[i]
		if l.Kind == Data || l.Rejected && !l.inactive {
			continue
		}
		l.reduced, l.mixed = has(m.Attributes, sdp.AttrKeyRTCPRsize), has(m.Attributes, sdp.AttrKeyExtMapAllowMixed)
		l.readCodecs(m, r.offer.direction)
		if len(l.Codecs) == 0 || !secured(l.protocol) {
			l.Rejected, l.inactive, l.Codecs = true, false, nil
			continue
		}
		if l.inactive {
			continue
		}
		common = true
		l.readExtensions(m, r.offer.direction)
		if err := l.readSources(m, i); err != nil {
			return err
		}
		if l.Kind == Video && r.offer.direction == Publish {
			if err := l.readLayers(m, i); err != nil {
				return err
			}
		}
	}
	if !common {
		return refuse("no line of the offer has a codec that the node has: expected opus, and H264, VP8, VP9, AV1 or H265, over UDP/TLS/RTP/SAVPF")
	}
	return nil
}

// secured is RTP over DTLS-SRTP, by any of the names that RFC 9429 section 5.1.2 has for it.
func secured(protocol string) bool {
	return slices.Contains([]string{"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/DTLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVP", "TCP/TLS/RTP/SAVPF", "RTP/SAVPF", "RTP/SAVP"}, protocol)
}

// readSources reads which SSRCs (RFC 5576) the client announces, and of which stream they are.
func (l *Line) readSources(m *sdp.MediaDescription, line int) error {
	repairs := map[string]bool{}
	for _, a := range m.Attributes {
		if f := strings.Fields(a.Value); a.Key == sdp.AttrKeySSRCGroup && len(f) == 3 && (f[0] == sdp.SemanticTokenFlowIdentification || f[0] == sdp.SemanticTokenForwardErrorCorrectionFramework) {
			repairs[f[2]] = true
		}
	}
	for _, a := range m.Attributes {
		switch a.Key {
		case sdp.AttrKeyMsid:
			if l.Stream == "" {
				l.Stream, l.Track, _ = strings.Cut(strings.TrimSpace(a.Value), " ")
			}
		case sdp.AttrKeySSRC:
			text, rest, _ := strings.Cut(a.Value, " ")
			n, err := strconv.ParseUint(text, 10, 32)
			if err != nil || repairs[text] {
				continue
			}
			if ids, ok := strings.CutPrefix(rest, "msid:"); ok && l.Stream == "" {
				l.Stream, l.Track, _ = strings.Cut(strings.TrimSpace(ids), " ")
			}
			if slices.Contains(l.SSRCs, uint32(n)) {
				continue
			}
			if len(l.SSRCs) == maxSSRCs {
				return refuse("line %d of the offer has more than %d sources (a=ssrc)", line+1, maxSSRCs)
			}
			l.SSRCs = append(l.SSRCs, uint32(n))
		}
	}
	return nil
}

// readLayers reads which layers a client sends (RFC 8851, RFC 8853). Without their names in the packets nobody could tell them apart: then there is one.
func (l *Line) readLayers(m *sdp.MediaDescription, line int) error {
	if l.RidExt == 0 {
		return nil
	}
	var declared []string
	for _, a := range m.Attributes {
		if f := strings.Fields(a.Value); a.Key == "rid" && len(f) >= 2 && f[1] == "send" && isRid(f[0]) && !slices.Contains(declared, f[0]) {
			declared = append(declared, f[0])
		}
		if len(declared) > maxRids {
			return refuse("line %d of the offer has more than %d layers (a=rid)", line+1, maxRids)
		}
	}
	offered, ok := value(m.Attributes, "simulcast")
	if !ok {
		l.Rids = declared
		return nil
	}
	var said []string
	for layer := range strings.SplitSeq(sent(offered), ";") {
		layer, _, _ = strings.Cut(layer, ",") // the first of those that the node may choose from
		rid := strings.TrimPrefix(layer, "~")
		if slices.Contains(declared, rid) && !slices.Contains(l.Rids, rid) {
			l.Rids, said = append(l.Rids, rid), append(said, layer)
		}
	}
	l.layers = strings.Join(said, ";")
	return nil
}

// sent is the list of a=simulcast behind "send".
func sent(simulcast string) string {
	f := strings.Fields(simulcast)
	for i := 0; i+1 < len(f); i += 2 {
		if f[i] == "send" {
			return f[i+1]
		}
	}
	return ""
}

func isRid(s string) bool {
	return len(s) <= 255 && s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}
