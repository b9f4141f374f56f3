package terms

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

const (
	videoClock = 90_000
	opusClock  = 48_000
)

// Bounds of one line. There are 128 payload types, and browsers offer up to some 60.
const (
	maxFormats = 128
	maxCodecs  = 64
	maxSSRCs   = 16
	maxRids    = 8
)

// known is a codec of the node. What an offer says of its profile decides whether the client's is the same.
type known struct {
	kind     Kind
	name     string // as IANA writes it
	clock    uint32
	channels uint16
	same     func(fmtp string) bool // nil: always
	near     func(fmtp string) bool // taken if a line has none that is the same; nil: never
}

func codecs() []known {
	return []known{
		{kind: Audio, name: "opus", clock: opusClock, channels: 2},
		{kind: Video, name: "H264", clock: videoClock, same: commonH264, near: packetized},
		{kind: Video, name: "VP8", clock: videoClock},
		{kind: Video, name: "VP9", clock: videoClock, same: func(fmtp string) bool {
			p := parameter(fmtp, "profile-id", "0")
			return p == "0" || p == "2"
		}},
		{kind: Video, name: "AV1", clock: videoClock, same: func(fmtp string) bool { return parameter(fmtp, "profile", "0") == "0" }},
		{kind: Video, name: "H265", clock: videoClock},
	}
}

// packetized is what all browsers have and the node needs: packets that hold a part of a NAL unit (RFC 6184 section 6.3).
func packetized(fmtp string) bool { return parameter(fmtp, "packetization-mode", "0") == "1" }

// commonH264 is of one of the profiles that browsers offer: baseline with and without its constraints, main and high.
func commonH264(fmtp string) bool {
	if !packetized(fmtp) {
		return false
	}
	id := strings.ToLower(parameter(fmtp, "profile-level-id", "420010"))
	return len(id) == 6 && slices.Contains([]string{"42e0", "4200", "4d00", "6400"}, id[:4])
}

// parameter finds a value in a line such as a=1;b=2.
func parameter(fmtp, name, otherwise string) string {
	for part := range strings.SplitSeq(fmtp, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if strings.EqualFold(key, name) {
			return strings.TrimSpace(value)
		}
	}
	return otherwise
}

// maps is what the attributes of a line say of its payload types.
type maps struct {
	rtp, fmtp map[string]string
	feedback  map[string][]string // that for all is under "*"
}

func readMaps(m *sdp.MediaDescription) maps {
	to := maps{map[string]string{}, map[string]string{}, map[string][]string{}}
	for _, a := range m.Attributes {
		pt, value, _ := strings.Cut(a.Value, " ")
		value = strings.TrimSpace(value)
		switch a.Key {
		case "rtpmap":
			setOnce(to.rtp, pt, value)
		case "fmtp":
			setOnce(to.fmtp, pt, value)
		case "rtcp-fb":
			to.feedback[pt] = append(to.feedback[pt], strings.ToLower(value))
		}
	}
	return to
}

func setOnce(m map[string]string, key, value string) {
	if _, ok := m[key]; !ok {
		m[key] = value
	}
}

// readCodecs finds those that both sides have.
func (l *Line) readCodecs(m *sdp.MediaDescription, d Direction) {
	of := readMaps(m)
	all := codecs()
	exact := make([]bool, len(all)) // the line has one that is the same
	type found struct {
		Codec
		number int
		exact  bool
	}
	var list []found
	var seen [128]bool
	for _, f := range m.MediaName.Formats {
		pt, err := strconv.ParseUint(f, 10, 7)
		if err != nil || seen[pt] || pt >= 64 && pt < 96 { // which can't be told from RTCP (RFC 5761 section 4)
			continue
		}
		seen[pt] = true
		name, rate, channels := readMap(of.rtp[f])
		i := slices.IndexFunc(all, func(k known) bool {
			return k.kind == l.Kind && strings.EqualFold(k.name, name) && k.clock == rate && (channels == 0 || channels == max(1, k.channels))
		})
		if i < 0 {
			continue
		}
		k, fmtp := &all[i], of.fmtp[f]
		same := k.same == nil || k.same(fmtp)
		if !same && (k.near == nil || !k.near(fmtp)) {
			continue
		}
		exact[i] = exact[i] || same
		c := Codec{PT: uint8(pt), Mime: l.Kind.String() + "/" + k.name, Clock: k.clock, Channels: k.channels, Fmtp: fmtp}
		c.feedback = l.feedback(slices.Concat(of.feedback["*"], of.feedback[f]), d)
		list = append(list, found{c, i, same})
	}
	for _, f := range list {
		if (f.exact || !exact[f.number]) && len(l.Codecs) < maxCodecs {
			l.Codecs = append(l.Codecs, f.Codec)
		}
	}
	l.sumUp()
}

// readMap reads the value of a=rtpmap behind the number.
func readMap(s string) (name string, rate uint32, channels uint16) {
	name, s, _ = strings.Cut(s, "/")
	s, last, ok := strings.Cut(s, "/")
	r, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return "", 0, 0
	}
	if ok {
		c, err := strconv.ParseUint(last, 10, 16)
		if err != nil {
			return "", 0, 0
		}
		channels = uint16(c)
	}
	return name, uint32(r), channels
}

// Feedback (RFC 4585, RFC 5104).
const (
	nack       = "nack"
	pli        = "nack pli"
	fir        = "ccm fir"
	congestion = "transport-cc"
)

// feedback is what the node makes use of. Nobody asks for sound again, which is too late then, and it has no numbers for bandwidth estimation.
func (l *Line) feedback(offered []string, d Direction) []string {
	if l.Kind != Video {
		return nil
	}
	var both []string
	for _, f := range []string{fir, nack, pli, congestion} {
		if slices.Contains(offered, f) && (f != congestion || d == Publish) {
			both = append(both, f)
		}
	}
	return both
}

func (l *Line) sumUp() {
	for i := range l.Codecs {
		l.NACK = l.NACK || slices.Contains(l.Codecs[i].feedback, nack)
		l.PLI = l.PLI || slices.Contains(l.Codecs[i].feedback, pli)
		l.FIR = l.FIR || slices.Contains(l.Codecs[i].feedback, fir)
	}
}

// extension is a header extension (RFC 8285) as it is answered.
type extension struct {
	id       uint8
	uri      string
	oriented bool // the offer says that the client only sends it
}

// readExtensions finds those that the node makes use of: how loud publishers are, which layer a packet is of, and when it has come. Viewers are told by data channels who
// speaks, and know by its SSRC what a packet is of.
func (l *Line) readExtensions(m *sdp.MediaDescription, d Direction) {
	if d == Play {
		return
	}
	uses := map[string]*uint8{sdp.SDESMidURI: &l.MidExt}
	switch l.Kind {
	case Audio:
		uses[sdp.AudioLevelURI] = &l.Level
	case Video:
		uses[sdp.SDESRTPStreamIDURI], uses[sdp.SDESRepairRTPStreamIDURI], uses[sdp.TransportCCURI] = &l.RidExt, &l.RepairedExt, &l.Congestion
	}
	var seen [256]bool
	for _, a := range m.Attributes {
		if a.Key != sdp.AttrKeyExtMap {
			continue
		}
		fields := strings.Fields(a.Value)
		if len(fields) < 2 {
			continue
		}
		number, way, _ := strings.Cut(fields[0], "/")
		id, err := strconv.ParseUint(number, 10, 8)
		if err != nil || id == 0 || id == 15 || seen[id] { // 15 ends the extensions of a packet
			continue
		}
		seen[id] = true
		to := uses[fields[1]]
		if to == nil || *to != 0 || way == sdp.AttrKeyRecvOnly || way == sdp.AttrKeyInactive {
			continue
		}
		*to = uint8(id)
		l.extensions = append(l.extensions, extension{uint8(id), fields[1], way == sdp.AttrKeySendOnly})
	}
}
