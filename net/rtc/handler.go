package rtc

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtc/terms"
)

// Paths of the two protocols; the room follows, and in PATCH and DELETE the session.
const (
	WHIPPath = "/whip/"
	WHEPPath = "/whep/"
)

const (
	typeSDP      = "application/sdp"
	typeFragment = "application/trickle-ice-sdpfrag"
	admitTime    = 5 * time.Second
	noteHeader   = "Skua-Note"
)

// ServeHTTP answers WHIP and WHEP: POST makes a session, PATCH adds candidates or restarts ICE, DELETE ends it.
func (srv *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d, room, id, ok := route(r.URL.Path)
	if !ok {
		srv.fail(w, d, http.StatusNotFound, "expected "+WHIPPath+"ROOM or "+WHEPPath+"ROOM, with a room of "+media.NameForm)
		return
	}
	if !srv.cors(w, r) {
		srv.fail(w, d, http.StatusForbidden, "pages of "+r.Header.Get("Origin")+" may not come in here")
		return
	}
	allowed := "OPTIONS, POST"
	if id != "" {
		allowed = "OPTIONS, PATCH, DELETE"
	}
	switch {
	case r.Method == http.MethodOptions:
		w.Header().Set("Access-Control-Allow-Methods", allowed)
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
		w.Header().Set("Access-Control-Max-Age", "3600")
		w.Header().Set("Accept-Post", typeSDP)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPost && id == "":
		srv.post(w, r, d, room)
	case r.Method == http.MethodPatch && id != "":
		srv.patch(w, r, d, room, id)
	case r.Method == http.MethodDelete && id != "":
		s := srv.session(id)
		if s == nil || s.Room != room || s.Direction != d {
			srv.fail(w, d, http.StatusNotFound, "there is no such session")
			return
		}
		s.close(ReasonLeft)
		w.WriteHeader(http.StatusOK)
	default:
		w.Header().Set("Allow", allowed)
		srv.fail(w, d, http.StatusMethodNotAllowed, "expected one of "+allowed)
	}
}

// route reads a path.
func route(path string) (d Direction, room, id string, ok bool) {
	rest, ok := strings.CutPrefix(path, WHIPPath)
	d = Publish
	if !ok {
		d = Play
		if rest, ok = strings.CutPrefix(path, WHEPPath); !ok {
			return d, "", "", false
		}
	}
	room, id, deep := strings.Cut(rest, "/")
	return d, room, id, media.ValidName(room) && (!deep || id != "" && !strings.Contains(id, "/"))
}

// cors tells a page's browser that it may read the answer. ok is false for pages that may not come in.
func (srv *Server) cors(w http.ResponseWriter, r *http.Request) (ok bool) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	w.Header().Add("Vary", "Origin")
	u, err := url.Parse(origin)
	if err != nil || !slices.Contains(srv.cfg.Origins, "*") && !slices.Contains(srv.cfg.Origins, origin) && u.Host != r.Host {
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", origin)
	w.Header().Set("Access-Control-Expose-Headers", "Location, ETag, Link, "+noteHeader)
	return true
}

// body reads what a client has sent, of one type and so many bytes.
func (srv *Server) body(w http.ResponseWriter, r *http.Request, d Direction, expected string, most int64) (string, bool) {
	if found, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); found != expected {
		srv.fail(w, d, http.StatusUnsupportedMediaType, "the body is "+strconv.Quote(found)+", expected "+expected)
		return "", false
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		srv.fail(w, d, http.StatusRequestEntityTooLarge, "the body has more than "+strconv.FormatInt(most, 10)+" bytes")
		return "", false
	case err != nil:
		srv.fail(w, d, http.StatusBadRequest, "the body can't be read")
		return "", false
	}
	return string(text), true
}

func (srv *Server) post(w http.ResponseWriter, r *http.Request, d Direction, room string) {
	text, ok := srv.body(w, r, d, typeSDP, maxSDP)
	if !ok {
		return
	}
	offer, err := terms.Read(text, terms.Direction(d))
	if err != nil {
		srv.failWith(w, d, offerProblem(err))
		return
	}
	if offer.Lite {
		srv.fail(w, d, http.StatusBadRequest, "the offer is of an ICE-lite agent, as the node is: nobody would look for a way")
		return
	}
	l := linesOf(offer)
	if most := srv.cfg.MaxSlots; l.audio > most || l.video > most {
		srv.fail(w, d, http.StatusBadRequest, "more than "+itoa(most)+" lines of one kind")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), admitTime)
	defer cancel()
	request := Request{
		Direction: d, Room: room, Name: r.URL.Query().Get("who"), Token: token(r), Query: r.URL.RawQuery, Remote: remote(r), Agent: r.UserAgent(), Audio: l.audio, Video: l.video,
	}
	if request.Name != "" && !media.ValidName(request.Name) {
		srv.fail(w, d, http.StatusBadRequest, "who: expected "+media.NameForm)
		return
	}
	permit, err := srv.cfg.Rules.Admit(ctx, request)
	if err != nil {
		srv.failWith(w, d, err)
		return
	}
	if permit.Who == "" {
		permit.Who = request.Name
	}
	s, answer, err := srv.admit(d, room, permit, offer)
	if err != nil {
		srv.failWith(w, d, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", typeSDP)
	h.Set("Location", r.URL.EscapedPath()+"/"+s.ID)
	h.Set("ETag", s.tag())
	h.Set("Accept-Patch", typeFragment)
	for _, link := range srv.links(s.Who, time.Now()) {
		h.Add("Link", link)
	}
	for _, note := range permit.Notes {
		h.Add(noteHeader, note)
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer) //nolint:gosec // SDP, as its type says; who has gone by now never connects
}

// admit makes the session of somebody who may come in.
func (srv *Server) admit(d Direction, name string, permit Permit, offer *terms.Offer) (_ *session, answer string, err error) {
	r, err := srv.enter(name)
	if err != nil {
		srv.cfg.Rules.Left(Session{Room: name, Who: permit.Who, Direction: d, Tag: permit.Tag}, err.Error())
		return nil, "", err
	}
	s := srv.open(r, d, permit, offer)
	if !srv.remember(s) {
		srv.sockets.paths.end(s)
		srv.connecting.Add(-1)
		srv.leave(r)
		srv.cfg.Rules.Left(s.Session, ErrClosed.Error())
		return nil, "", ErrClosed
	}
	srv.metrics.sessions.WithLabelValues(string(d)).Inc()
	answer = s.answer()
	if d == Publish {
		replaced, err := r.enter(s)
		if err != nil {
			s.close(err.Error())
			return nil, "", err
		}
		if replaced != nil {
			replaced.close(ReasonReplaced)
		}
	}
	s.wait()
	return s, answer, nil
}

func (srv *Server) patch(w http.ResponseWriter, r *http.Request, d Direction, room, id string) {
	s := srv.session(id)
	if s == nil || s.Room != room || s.Direction != d {
		srv.fail(w, d, http.StatusNotFound, "there is no such session")
		return
	}
	text, ok := srv.body(w, r, d, typeFragment, maxFrag)
	if !ok {
		return
	}
	f, err := readFragment(text)
	if err != nil {
		srv.failWith(w, d, err)
		return
	}
	match := r.Header.Get("If-Match")
	switch {
	case match == "":
		srv.fail(w, d, http.StatusPreconditionRequired, `If-Match is missing: expected the ETag of the session, or "*" to restart ICE`)
	case match == "*" || match == `"*"`:
		if f.ufrag == "" {
			srv.fail(w, d, http.StatusBadRequest, "ICE can't be restarted without a=ice-ufrag and a=ice-pwd")
			return
		}
		answer, etag := s.restart(credentials{f.ufrag, f.pwd})
		w.Header().Set("Content-Type", typeFragment)
		w.Header().Set("ETag", etag)
		_, _ = io.WriteString(w, answer) // see post
	case match != s.tag():
		srv.failWith(w, d, errStale)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// token is what the client shows.
func token(r *http.Request) string {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(value)
	}
	return r.URL.Query().Get("token")
}

func remote(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddr(host)
	return addr.Unmap()
}

// failWith tells the client what concerns it, and the log the rest.
func (srv *Server) failWith(w http.ResponseWriter, d Direction, err error) {
	var refused *RefusalError
	var wrong *offerError
	var none *fullError
	switch {
	case errors.As(err, &refused):
		switch refused.Status {
		case http.StatusUnauthorized:
			w.Header().Set("WWW-Authenticate", `Bearer realm="media"`)
		case http.StatusServiceUnavailable:
			w.Header().Set("Retry-After", "5")
		}
		srv.fail(w, d, cmp.Or(refused.Status, http.StatusForbidden), refused.Reason)
	case errors.As(err, &wrong):
		srv.fail(w, d, http.StatusBadRequest, strings.TrimPrefix(wrong.Error(), "rtc: "))
	case errors.Is(err, errStale):
		srv.fail(w, d, http.StatusPreconditionFailed, "If-Match is of an ICE session that has been restarted")
	case errors.As(err, &none), errors.Is(err, ErrClosed):
		w.Header().Set("Retry-After", "5")
		srv.fail(w, d, http.StatusServiceUnavailable, strings.TrimPrefix(err.Error(), "rtc: "))
	default:
		srv.log.Warn("a session could not be made", "direction", d, "error", err)
		srv.fail(w, d, http.StatusInternalServerError, "the node failed")
	}
}

// fail answers with a problem, as RFC 9457 has it.
func (srv *Server) fail(w http.ResponseWriter, d Direction, status int, detail string) {
	srv.metrics.refused.WithLabelValues(string(d), strconv.Itoa(status)).Inc()
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	text, err := json.Marshal(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
	if err == nil {
		_, _ = w.Write(text)
	}
}
