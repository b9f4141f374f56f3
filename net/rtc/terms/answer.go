package terms

import (
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// writer writes lines of SDP.
type writer struct{ strings.Builder }

func (w *writer) line(parts ...string) {
	for _, p := range parts {
		w.WriteString(p)
	}
	w.WriteString("\r\n")
}

func number[T uint8 | uint16 | uint32 | int](n T) string { return strconv.FormatUint(uint64(n), 10) }

// Answer is what the client is answered. Calls with the same arguments answer the same.
func (o *Offer) Answer(own Own) string {
	var w writer
	id := fnv.New64a()
	_, _ = id.Write([]byte(own.Ufrag))
	w.line("v=0")
	w.line("o=- ", strconv.FormatUint(id.Sum64()>>2, 10), " 1 IN IP4 0.0.0.0") // of 62 bits (RFC 9429 section 5.2.1)
	w.line("s=-")
	w.line("t=0 0")
	w.line("a=msid-semantic:WMS *")
	w.line("a=fingerprint:", own.Hash, " ", strings.ToUpper(own.Fingerprint))
	w.line("a=ice-lite")
	if o.mixed {
		w.line("a=extmap-allow-mixed")
	}
	o.writeGroup(&w)
	for i := range o.Lines {
		o.writeLine(&w, i, &own)
	}
	return w.String()
}

// Fragment answers an ICE restart (application/trickle-ice-sdpfrag, RFC 8840 section 9): the node's new credentials and its candidates, under the line that names the
// transport.
func (o *Offer) Fragment(own Own) string {
	var w writer
	w.line("a=ice-lite")
	o.writeGroup(&w)
	l := &o.Lines[o.bundle[0]]
	l.writeName(&w, "9")
	l.writeMid(&w)
	own.writeICE(&w)
	own.writeCandidates(&w)
	return w.String()
}

func (o *Offer) writeGroup(w *writer) {
	if !o.group {
		return
	}
	w.WriteString("a=group:BUNDLE")
	for _, i := range o.bundle {
		w.WriteString(" " + o.Lines[i].Mid)
	}
	w.line()
}

func (o *Offer) writeLine(w *writer, i int, own *Own) {
	l := &o.Lines[i]
	if l.Rejected && !l.inactive {
		l.writeName(w, "0")
		w.line("c=IN IP4 0.0.0.0")
		l.writeMid(w)
		w.line("a=inactive")
		return
	}
	l.writeName(w, "9")
	w.line("c=IN IP4 0.0.0.0")
	w.line("a=setup:passive")
	l.writeMid(w)
	own.writeICE(w)
	if l.Kind == Data {
		w.line("a=sctp-port:", sctpPort)
		w.line("a=max-message-size:", number(MaxMessage))
	} else {
		l.writeMedia(w)
		switch {
		case l.inactive:
			w.line("a=inactive")
		case o.direction == Publish:
			w.line("a=recvonly")
		default:
			l.writeSource(w, i, own)
			w.line("a=sendonly")
		}
	}
	if i == o.bundle[0] {
		own.writeCandidates(w)
	}
}

// writeName writes the m= line: with the codecs in common, or as it was offered when there is nothing to say of it.
func (l *Line) writeName(w *writer, port string) {
	w.WriteString("m=" + l.media + " " + port + " " + l.protocol)
	if len(l.Codecs) == 0 {
		w.line(" ", l.formats)
		return
	}
	for i := range l.Codecs {
		w.WriteString(" " + number(l.Codecs[i].PT))
	}
	w.line()
}

func (l *Line) writeMid(w *writer) {
	if l.Mid != "" {
		w.line("a=mid:", l.Mid)
	}
}

func (l *Line) writeMedia(w *writer) {
	w.line("a=rtcp-mux")
	if l.reduced {
		w.line("a=rtcp-rsize")
	}
	if l.mixed {
		w.line("a=extmap-allow-mixed")
	}
	for i := range l.Codecs {
		l.Codecs[i].write(w)
	}
	for _, e := range l.extensions {
		id := number(e.id)
		if e.oriented {
			id += "/" + sdp.AttrKeyRecvOnly
		}
		w.line("a=extmap:", id, " ", e.uri)
	}
	for _, rid := range l.Rids {
		w.line("a=rid:", rid, " recv")
	}
	if l.layers != "" {
		w.line("a=simulcast:recv ", l.layers)
	}
}

func (c *Codec) write(w *writer) {
	pt := number(c.PT)
	_, name, _ := strings.Cut(c.Mime, "/")
	w.WriteString("a=rtpmap:" + pt + " " + name + "/" + number(c.Clock))
	if c.Channels > 0 {
		w.WriteString("/" + number(c.Channels))
	}
	w.line()
	if c.Fmtp != "" {
		w.line("a=fmtp:", pt, " ", c.Fmtp)
	}
	for _, f := range c.feedback {
		w.line("a=rtcp-fb:", pt, " ", f)
	}
}

// writeSource writes what the node sends.
func (l *Line) writeSource(w *writer, i int, own *Own) {
	stream, track := "-", ""
	if own.Stream != nil {
		stream, track = own.Stream(i)
	}
	ids := strings.TrimSpace(stream + " " + track)
	if l.SSRC != 0 {
		name := own.CNAME
		if name == "" {
			name = stream
		}
		w.line("a=ssrc:", number(l.SSRC), " cname:", name)
		w.line("a=ssrc:", number(l.SSRC), " msid:", ids)
	}
	w.line("a=msid:", ids)
}

func (own *Own) writeICE(w *writer) {
	w.line("a=ice-ufrag:", own.Ufrag)
	w.line("a=ice-pwd:", own.Pwd)
}

// writeCandidates writes the node's addresses, the first of them with the highest priority (RFC 8445 section 5.1.2.1), and those over TCP behind all others (RFC 6544
// section 4.2).
func (own *Own) writeCandidates(w *writer) {
	const (
		host    = 126 << 24
		only    = 256 - 1 // component
		passive = 4 << 13
	)
	for i, c := range own.Candidates {
		protocol, preference, suffix := "udp", max(1<<16-1-i, passive+1<<13), ""
		if c.TCP {
			protocol, preference, suffix = "tcp", max(passive+1<<13-1-i, passive), " tcptype passive"
		}
		addr := c.Addr.Addr().Unmap().WithZone("").String()
		w.line("a=candidate:", number(i+1), " 1 ", protocol, " ", number(host|preference<<8|only), " ", addr, " ", number(c.Addr.Port()), " typ host", suffix)
	}
	w.line("a=end-of-candidates")
}
