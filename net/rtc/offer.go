package rtc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"
)

// lines are how many lines of media somebody offers.
type lines struct{ audio, video int }

// offerError is what is wrong with what a client has sent.
type offerError struct{ reason string }

func (e *offerError) Error() string { return "rtc: " + e.reason }

func badOffer(format string, args ...any) error { return &offerError{fmt.Sprintf(format, args...)} }

// readOffer looks at an offer before anything is made for it.
func readOffer(text string, d Direction) (lines, error) {
	var offer sdp.SessionDescription
	if err := offer.UnmarshalString(text); err != nil {
		return lines{}, badOffer("the offer is no SDP: %v", err)
	}
	var l lines
	mine, word := sdp.AttrKeySendOnly, "sends"
	if d == Play {
		mine, word = sdp.AttrKeyRecvOnly, "receives"
	}
	for _, m := range offer.MediaDescriptions {
		_, with := m.Attribute(mine)
		_, both := m.Attribute(sdp.AttrKeySendRecv)
		if m.MediaName.Port.Value == 0 && !hasAttribute(m, "bundle-only") {
			continue // switched off
		}
		switch m.MediaName.Media {
		case "audio":
			if with || both {
				l.audio++
			}
		case "video":
			if with || both {
				l.video++
			}
		case "application":
		default:
			return l, badOffer("the offer has a line of %q, expected audio, video and application", m.MediaName.Media)
		}
	}
	if l.audio+l.video == 0 {
		return l, badOffer("no line of the offer %s audio or video: expected a=%s", word, mine)
	}
	return l, nil
}

func hasAttribute(m *sdp.MediaDescription, key string) bool {
	_, ok := m.Attribute(key)
	return ok
}

// answer settles the session's terms.
func (s *session) answer(ctx context.Context, offer string) (string, error) {
	s.terms.Lock()
	defer s.terms.Unlock()
	text, err := s.settle(ctx, offer)
	if err == nil {
		s.offer = offer
	}
	return text, err
}

func (s *session) settle(ctx context.Context, offer string) (string, error) {
	if err := s.pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeOffer, SDP: offer}); err != nil {
		return "", badOffer("the offer can't be taken: %v", err)
	}
	answer, err := s.pc.CreateAnswer(nil)
	if err != nil {
		return "", badOffer("the offer can't be answered: %v", err)
	}
	gathered := pion.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(answer); err != nil {
		return "", fmt.Errorf("rtc: %w", err)
	}
	select { // the node's own addresses: it is there at once
	case <-gathered:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	own := s.pc.LocalDescription().SDP
	s.server.sockets.paths.name(&s.path, attribute(own, "ice-ufrag"), attribute(own, "ice-pwd"))
	return own, nil
}

// attribute is the first of its name: all lines of media are one bundle.
func attribute(text, name string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "a="+name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// addSlots makes the lines of a viewer. It is called before the offer is taken.
func (s *session) addSlots(l lines) error {
	for _, of := range []struct {
		kind pion.RTPCodecType
		n    int
	}{{pion.RTPCodecTypeAudio, l.audio}, {pion.RTPCodecTypeVideo, l.video}} {
		for i := range of.n {
			sl := &slot{viewer: s, kind: of.kind, number: i}
			t, err := s.pc.AddTransceiverFromTrack(sl, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionSendonly})
			if err != nil {
				return fmt.Errorf("rtc: %w", err)
			}
			s.slots = append(s.slots, sl)
			if !s.server.spawn(func() { s.serveSlot(sl, t.Sender()) }) {
				return ErrClosed
			}
		}
	}
	return nil
}

// fragment is a body of PATCH (RFC 8840): candidates, and other credentials if ICE is to be restarted.
type fragment struct {
	ufrag, pwd string
	candidates []pion.ICECandidateInit
}

// maxCandidates is how many candidates a client may add at once.
const maxCandidates = 64

func readFragment(text string) (fragment, error) {
	var f fragment
	var mid *string
	var index *uint16
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		key, value, _ := strings.Cut(strings.TrimRight(lines.Text(), "\r"), ":")
		switch key {
		case "a=ice-ufrag":
			f.ufrag = value
		case "a=ice-pwd":
			f.pwd = value
		case "a=mid":
			mid = &value
		case "a=candidate":
			if len(f.candidates) == maxCandidates {
				return f, badOffer("more than %d candidates", maxCandidates)
			}
			f.candidates = append(f.candidates, pion.ICECandidateInit{Candidate: "candidate:" + value, SDPMid: mid, SDPMLineIndex: index})
		default:
			if strings.HasPrefix(key, "m=") {
				mid, index = nil, nextIndex(index)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return f, badOffer("the fragment can't be read: %v", err)
	}
	if (f.ufrag == "") != (f.pwd == "") {
		return f, badOffer("the fragment has one of a=ice-ufrag and a=ice-pwd, expected both or none")
	}
	if len(f.ufrag) > 256 || len(f.pwd) > 256 {
		return f, badOffer("credentials of more than 256 characters")
	}
	if f.ufrag == "" && len(f.candidates) == 0 && !strings.Contains(text, "a=end-of-candidates") {
		return f, badOffer("the fragment has neither candidates nor credentials")
	}
	return f, nil
}

func nextIndex(i *uint16) *uint16 {
	if i == nil {
		return new(uint16(0))
	}
	return new(*i + 1)
}

// errStale is that a client speaks of an ICE session that is over.
var errStale = errors.New("rtc: the ICE session has been restarted")

// trickle takes further candidates of the client.
func (s *session) trickle(f fragment) {
	for _, c := range f.candidates {
		if err := s.pc.AddICECandidate(c); err != nil { // one that the node can't use, such as a name of mDNS: the client's checks come anyhow
			s.server.log.Debug("candidate of a client", "room", s.Room, "who", s.Who, "error", err)
		}
	}
}

// restart gives the client new credentials for the ones it has sent. The media goes on meanwhile.
func (s *session) restart(ctx context.Context, f fragment) (text, etag string, err error) {
	s.terms.Lock()
	defer s.terms.Unlock()
	offer := withCredentials(s.offer, f)
	answer, err := s.settle(ctx, offer)
	if err != nil {
		return "", "", err
	}
	s.offer = offer
	s.restarts++
	s.etag = `"` + itoa(s.restarts) + `"`
	s.trickle(f)
	return ownFragment(answer), s.etag, nil
}

// tag is the entity tag of the ICE session.
func (s *session) tag() string {
	s.terms.Lock()
	defer s.terms.Unlock()
	return s.etag
}

// withCredentials is the offer as it would be if it was made anew.
func withCredentials(offer string, f fragment) string {
	var b strings.Builder
	for line := range strings.Lines(offer) {
		switch {
		case strings.HasPrefix(line, "a=ice-ufrag:"):
			b.WriteString("a=ice-ufrag:" + f.ufrag + "\r\n")
		case strings.HasPrefix(line, "a=ice-pwd:"):
			b.WriteString("a=ice-pwd:" + f.pwd + "\r\n")
		case strings.HasPrefix(line, "a=candidate:"), strings.HasPrefix(line, "a=end-of-candidates"):
		default:
			b.WriteString(line)
		}
	}
	return b.String()
}

// ownFragment is what a client needs of an answer to restart ICE: the node's credentials and candidates, under the first line of media (all are one bundle).
func ownFragment(answer string) string {
	var session, media strings.Builder
	inMedia, first := false, true
	for line := range strings.Lines(answer) {
		switch {
		case strings.HasPrefix(line, "m="):
			if inMedia {
				first = false
			}
			inMedia = true
			if first {
				media.WriteString(line)
			}
		case strings.HasPrefix(line, "a=ice-ufrag:"), strings.HasPrefix(line, "a=ice-pwd:"), strings.HasPrefix(line, "a=candidate:"), strings.HasPrefix(line, "a=mid:"),
			strings.HasPrefix(line, "a=end-of-candidates"):
			if first && inMedia {
				media.WriteString(line)
			}
		case strings.HasPrefix(line, "a=ice-lite"), strings.HasPrefix(line, "a=group:BUNDLE"):
			session.WriteString(line)
		}
	}
	return session.String() + media.String()
}
