package rtc

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/skua-go/skua/net/rtc/terms"
)

// lines are how many lines of media somebody offers.
type lines struct{ audio, video int }

// offerError is what is wrong with what a client has sent.
type offerError struct{ reason string }

func (e *offerError) Error() string { return "rtc: " + e.reason }

func badOffer(format string, args ...any) error { return &offerError{fmt.Sprintf(format, args...)} }

// offerProblem is what a client is told of its offer.
func offerProblem(err error) error {
	var wrong *terms.Error
	if errors.As(err, &wrong) {
		return badOffer("%s", wrong.Reason)
	}
	return err
}

// linesOf counts those that were agreed.
func linesOf(offer *terms.Offer) (l lines) {
	for i := range offer.Lines {
		switch {
		case offer.Lines[i].Rejected:
		case offer.Lines[i].Kind == terms.Audio:
			l.audio++
		case offer.Lines[i].Kind == terms.Video:
			l.video++
		}
	}
	return l
}

// own is what the node says of itself for a session.
func (s *session) own(c credentials) terms.Own {
	return terms.Own{
		Ufrag: c.name, Pwd: c.key, Hash: identityHash, Fingerprint: s.identity.fingerprint, Candidates: s.server.sockets.candidates, CNAME: s.Room,
		Stream: func(line int) (stream, track string) {
			if sl := s.slot(s.offer.Lines[line].SSRC); sl != nil {
				return sl.stream(), sl.ID()
			}
			return "", ""
		},
	}
}

// answer is the node's to the session's offer.
func (s *session) answer() string {
	return s.offer.Answer(s.own(s.path.own))
}

// fragment is a body of PATCH (RFC 8840): candidates, and other credentials if ICE is to be restarted.
type fragment struct {
	ufrag, pwd string
	candidates int
}

// maxCandidates is how many candidates a client may add at once.
const maxCandidates = 64

func readFragment(text string) (fragment, error) {
	var f fragment
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		key, value, _ := strings.Cut(strings.TrimRight(lines.Text(), "\r"), ":")
		switch key {
		case "a=ice-ufrag":
			f.ufrag = value
		case "a=ice-pwd":
			f.pwd = value
		case "a=candidate":
			if f.candidates == maxCandidates {
				return f, badOffer("more than %d candidates", maxCandidates)
			}
			f.candidates++
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
	if f.ufrag == "" && f.candidates == 0 && !strings.Contains(text, "a=end-of-candidates") {
		return f, badOffer("the fragment has neither candidates nor credentials")
	}
	return f, nil
}

// errStale is that a client speaks of an ICE session that is over.
var errStale = errors.New("rtc: the ICE session has been restarted")

// restart gives the session new credentials, which the client's checks prove themselves by from then on. The media goes on meanwhile where it went. Of the
// client's candidates there is no use: see check.
func (s *session) restart(theirs credentials) (text, etag string) {
	s.terms.Lock()
	defer s.terms.Unlock()
	own := newCredentials()
	s.server.sockets.paths.name(s, own, theirs)
	s.restarts++
	return s.offer.Fragment(s.own(own)), s.etag()
}

func (s *session) etag() string { return `"` + itoa(s.restarts) + `"` }

// tag is the entity tag of the ICE session.
func (s *session) tag() string {
	s.terms.Lock()
	defer s.terms.Unlock()
	return s.etag()
}
