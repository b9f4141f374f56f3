package rtc

import (
	"strings"

	"github.com/skua-go/skua/net/rtc/terms"
)

const (
	videoClock = 90_000
	opusClock  = 48_000
)

// Codecs that rooms have, as IANA names them.
const (
	mimeH264 = "video/H264"
	mimeH265 = "video/H265"
	mimeVP8  = "video/VP8"
	mimeVP9  = "video/VP9"
	mimeAV1  = "video/AV1"
	mimeOpus = "audio/opus"
)

// payloadType finds under which number a viewer knows a codec. ok is false when it has not got it.
func payloadType(offered []terms.Codec, c terms.Codec) (pt uint8, ok bool) {
	best := -1
	for i := range offered {
		if !strings.EqualFold(offered[i].Mime, c.Mime) {
			continue
		}
		score := 0
		switch {
		case strings.EqualFold(c.Mime, mimeVP9):
			if vp9Profile(offered[i].Fmtp) != vp9Profile(c.Fmtp) {
				continue // another depth of colour: its decoder would make nothing of it
			}
		case strings.EqualFold(c.Mime, mimeH264) && h264Profile(offered[i].Fmtp) == h264Profile(c.Fmtp):
			score = 1 // decoders take other profiles, too, and see from the stream which one it is
		}
		if score > best {
			best, pt, ok = score, offered[i].PT, true
		}
	}
	return pt, ok
}

func vp9Profile(fmtp string) string {
	if p := parameter(fmtp, "profile-id"); p != "" {
		return p
	}
	return "0"
}

// h264Profile is the profile without constraints and level.
func h264Profile(fmtp string) string {
	id := parameter(fmtp, "profile-level-id")
	return strings.ToLower(id[:min(2, len(id))])
}

// parameter finds a value in a line such as a=1;b=2.
func parameter(fmtp, name string) string {
	for part := range strings.SplitSeq(fmtp, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}
