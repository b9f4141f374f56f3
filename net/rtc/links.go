package rtc

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // TURN servers of this kind know nothing else
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// links are the headers that tell a client of STUN and TURN servers (RFC 9725, section 4.6).
func (srv *Server) links(who string, now time.Time) []string {
	all := make([]string, len(srv.cfg.ICEServers))
	for i := range srv.cfg.ICEServers {
		all[i] = srv.cfg.ICEServers[i].link(who, now)
	}
	return all
}

// link makes credentials from the secret if there is one: the user is the moment of expiry and a name, the password its HMAC (draft-uberti-behave-turn-rest).
func (s ICEServer) link(who string, now time.Time) string {
	user, credential := s.Username, s.Credential
	if s.Secret != "" {
		ttl := s.TTL
		if ttl == 0 {
			ttl = time.Hour
		}
		user = strconv.FormatInt(now.Add(ttl).Unix(), 10) + ":" + who
		mac := hmac.New(sha1.New, []byte(s.Secret))
		mac.Write([]byte(user))
		credential = base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	link := "<" + s.URL + `>; rel="ice-server"`
	if user != "" {
		link += "; username=" + quoted(user) + "; credential=" + quoted(credential) + `; credential-type="password"`
	}
	return link
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
