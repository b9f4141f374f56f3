package packet

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Codes of a handshake response.
const (
	CodeOK        = 200
	CodeFailed    = 400 // Pitaya's; Pomelo's clients take everything but 200 and 501 as "failed"
	CodeOldClient = 501 // Pomelo's: the client is too old
)

// HandshakeRequest is the body of a client's handshake package.
type HandshakeRequest struct {
	Sys  ClientSys       `json:"sys"`
	User json.RawMessage `json:"user,omitempty"` // whatever the game's client wants to say
}

// ClientSys is what a client tells of itself. All of it is optional and none of it is to be trusted.
type ClientSys struct {
	Type       string `json:"type,omitempty"`    // "js-websocket", "c-uv-tcp", "skua-go", ...
	Version    string `json:"version,omitempty"` // of the client library
	Platform   string `json:"platform,omitempty"`
	LibVersion string `json:"libVersion,omitempty"`        // Pitaya's name for Version
	Build      string `json:"clientBuildNumber,omitempty"` // Pitaya's
	App        string `json:"clientVersion,omitempty"`     // Pitaya's: version of the game
	// Gzip says that the client takes compressed bodies (an extension), see Inflates.
	Gzip bool `json:"gzip,omitempty"`
	// Resume says that the client knows how to go on with a session (an extension); nil: it does not.
	Resume *ResumeRequest `json:"resume,omitempty"`
}

// Inflates tells whether the client understands compressed bodies: it says so, or it is one of Pitaya's (they alone send a libVersion), which all do.
// Clients of Pomelo, Nano and Cherry take the flag for nothing and the body for rubbish.
func (s ClientSys) Inflates() bool { return s.Gzip || s.LibVersion != "" }

// UnmarshalJSON takes numbers and booleans for strings, and anything else for nothing: clients in the field send all of them, and the servers they
// were written for never looked. Resume is the exception: who sends it knows what it is.
func (s *ClientSys) UnmarshalJSON(data []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	*s = ClientSys{
		Type: text(fields["type"]), Version: text(fields["version"]), Platform: text(fields["platform"]),
		LibVersion: text(fields["libVersion"]), Build: text(fields["clientBuildNumber"]), App: text(fields["clientVersion"]),
		Gzip: string(fields["gzip"]) == "true",
	}
	if raw := fields["resume"]; len(raw) > 0 && string(raw) != "null" {
		s.Resume = new(ResumeRequest)
		if err := json.Unmarshal(raw, s.Resume); err != nil {
			return fmt.Errorf("sys.resume: %w", err)
		}
		return s.Resume.check()
	}
	return nil
}

func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	if t := string(raw); t != "null" && !strings.ContainsAny(t, "{[") {
		return t
	}
	return ""
}

// DecodeHandshakeRequest reads the body of a client's handshake. An empty body is a client that says nothing of itself.
func DecodeHandshakeRequest(body []byte) (HandshakeRequest, error) {
	var r HandshakeRequest
	if len(bytes.TrimSpace(body)) == 0 {
		return r, nil
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return HandshakeRequest{}, fmt.Errorf("%w: request: %w", ErrHandshake, err)
	}
	return r, nil
}

// HandshakeResponse is the body of a server's handshake package.
type HandshakeResponse struct {
	Code int             `json:"code"` // CodeOK, or the client must go away
	Msg  string          `json:"msg,omitempty"`
	Sys  ServerSys       `json:"sys"`
	User json.RawMessage `json:"user,omitempty"`
}

// ServerSys is what a client must know of the server.
type ServerSys struct {
	// Heartbeat is the interval in seconds, 0 for none. Whole seconds: several clients in the field read an integer.
	Heartbeat float64 `json:"heartbeat,omitempty"`
	// Dict is the route dictionary that both sides use from here on.
	Dict map[string]uint16 `json:"dict,omitempty"`
	// Serializer names the encoding of bodies: "json", "protobuf" (these two are Pitaya's words), "msgpack" or "raw".
	Serializer string `json:"serializer,omitempty"`
	// Resume is for clients that have asked for it; nil for all others.
	Resume *ResumeAnswer `json:"resume,omitempty"`
	// Media tells that the server has rooms (an extension); nil: it takes no media packages.
	Media *MediaOffer `json:"media,omitempty"`
}

// Interval is the heartbeat interval as a duration, 0 when there is none or when it makes no sense.
func (s ServerSys) Interval() time.Duration {
	const day = 24 * 60 * 60
	if math.IsNaN(s.Heartbeat) || s.Heartbeat <= 0 || s.Heartbeat > day {
		return 0
	}
	return time.Duration(s.Heartbeat * float64(time.Second))
}

// DecodeHandshakeResponse reads the body of a server's handshake. A compressed one (Pitaya compresses it when its compression is on) is inflated
// to at most maxInflated bytes (0: MaxBody).
func DecodeHandshakeResponse(body []byte, maxInflated int) (HandshakeResponse, error) {
	var r HandshakeResponse
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || trimmed[0] != '{' {
		var err error
		if body, err = inflate(body, maxInflated); err != nil {
			return r, fmt.Errorf("%w: response is neither JSON nor compressed: %w", ErrHandshake, err)
		}
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return HandshakeResponse{}, fmt.Errorf("%w: response: %w", ErrHandshake, err)
	}
	if r.Sys.Resume != nil {
		if err := r.Sys.Resume.check(); err != nil {
			return HandshakeResponse{}, fmt.Errorf("%w: response: %w", ErrHandshake, err)
		}
	}
	return r, nil
}

// AppendHandshake appends a handshake package with body, a HandshakeRequest or HandshakeResponse, as JSON.
func AppendHandshake[B HandshakeRequest | HandshakeResponse](dst []byte, body B) ([]byte, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return dst, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	return AppendPacket(dst, Handshake, data)
}

// Reason says why: the body of a kick and of a response with the error flag. Pitaya's errors have the same two fields.
type Reason struct {
	Code string `json:"code"` // for programs: "not_found", "replaced", ...
	Msg  string `json:"msg"`  // for people
}

// DecodeReason reads a kick's or an error's body. It never fails: servers in the field send kicks without a body, and Pomelo's say {"reason": ...}; errors are
// protobuf where bodies are (protos.Error of Pitaya's protos/error.proto); what is not understood becomes the message.
func DecodeReason(body []byte) Reason {
	var r struct {
		Reason
		Why string `json:"reason"`
	}
	if json.Unmarshal(body, &r) != nil {
		if p, ok := protoReason(body); ok {
			return p
		}
		const longest = 256
		return Reason{Msg: strings.ToValidUTF8(string(body[:min(len(body), longest)]), "\uFFFD")}
	}
	if r.Msg == "" {
		r.Msg = r.Why
	}
	return r.Reason
}

// protoReason reads a message of protobuf with the fields code = 1, msg = 2 and metadata = 3, all of wire type 2, which is passed over.
func protoReason(body []byte) (r Reason, ok bool) {
	for len(body) > 0 {
		const code, msg, metadata = 1<<3 | 2, 2<<3 | 2, 3<<3 | 2
		n, size := binary.Uvarint(body[1:])
		if size <= 0 || n > uint64(len(body)-1-size) {
			return Reason{}, false
		}
		text := body[1+size : 1+size+int(n)]
		if !utf8.Valid(text) {
			return Reason{}, false
		}
		switch body[0] {
		case code:
			r.Code = string(text)
		case msg:
			r.Msg = string(text)
		case metadata:
		default:
			return Reason{}, false
		}
		body = body[1+size+int(n):]
	}
	return r, true
}

// AppendKick appends a kick package with its reason.
func AppendKick(dst []byte, r Reason) []byte {
	out, err := AppendPacket(dst, Kick, r.json())
	if err != nil { // a reason of 16 MiB: the code alone will do
		out, _ = AppendPacket(dst, Kick, Reason{Code: r.Code[:min(len(r.Code), MaxRoute)]}.json())
	}
	return out
}

// AppendMoved appends a kick package that has the addresses where the client goes on.
func AppendMoved(dst []byte, r Reason, addresses []string) []byte {
	body, err := json.Marshal(struct {
		Reason
		Addresses []string `json:"addresses,omitempty"`
	}{r, addresses})
	if err != nil { // strings always marshal
		panic(fmt.Sprintf("packet: marshal %#v: %v", r, err))
	}
	out, err := AppendPacket(dst, Kick, body)
	if err != nil { // addresses of 16 MiB
		return AppendKick(dst, r)
	}
	return out
}

// DecodeAddresses reads the addresses of a kick; nil if it has none.
func DecodeAddresses(body []byte) []string {
	var r struct {
		Addresses []string `json:"addresses"`
	}
	if json.Unmarshal(body, &r) != nil {
		return nil
	}
	return r.Addresses
}

// AppendError appends a data package that answers request id with an error.
func AppendError(dst []byte, id uint64, r Reason) ([]byte, error) {
	return AppendData(dst, Message{Type: Response, ID: id, Error: true, Body: r.json()}, nil)
}

func (r Reason) json() []byte {
	data, err := json.Marshal(r)
	if err != nil { // two strings always marshal
		panic(fmt.Sprintf("packet: marshal %#v: %v", r, err))
	}
	return data
}
