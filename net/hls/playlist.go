package hls

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// multivariant is the playlist that a player asks for first (RFC 8216bis section 4.4.6). Called with p.mu.
func (p *packager) multivariant(query string) string {
	var b strings.Builder
	rate := 0.0
	for _, s := range p.segments {
		rate = max(rate, float64(s.size)*8/s.duration.Seconds())
	}
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-STREAM-INF:BANDWIDTH=%d", int(math.Ceil(rate)))
	if len(p.head.codecs) > 0 {
		fmt.Fprintf(&b, ",CODECS=%q", strings.Join(p.head.codecs, ","))
	}
	if p.head.width > 0 {
		fmt.Fprintf(&b, ",RESOLUTION=%dx%d", p.head.width, p.head.height)
	}
	fmt.Fprintf(&b, "\nstream.m3u8?%s\n", query)
	return b.String()
}

// media is the playlist of segments and parts. Called with p.mu.
func (p *packager) media(query string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:%d\n", int(math.Ceil(p.longest.Seconds())))
	fmt.Fprintf(&b, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=%.5f\n#EXT-X-PART-INF:PART-TARGET=%.5f\n", 3*p.part.Seconds(), p.part.Seconds())
	fmt.Fprintf(&b, "#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", p.first, p.gaps)
	var head *head
	show := func(s *segment) {
		if s.fresh {
			b.WriteString("#EXT-X-DISCONTINUITY\n")
		}
		if s.head != head {
			head = s.head
			fmt.Fprintf(&b, "#EXT-X-MAP:URI=\"%s-init%d.mp4?%s\"\n", p.epoch, head.id, query)
		}
		if !s.began.IsZero() {
			fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", s.began.UTC().Format("2006-01-02T15:04:05.000Z"))
		}
	}
	parts := func(s *segment) {
		for i, one := range s.parts {
			fmt.Fprintf(&b, "#EXT-X-PART:DURATION=%.5f,URI=\"%s-part%d.%d.mp4?%s\"", one.duration.Seconds(), p.epoch, s.number, i, query)
			if one.key {
				b.WriteString(",INDEPENDENT=YES")
			}
			b.WriteString("\n")
		}
	}
	for i, s := range p.segments {
		if s.number < p.first {
			continue
		}
		show(s)
		if len(p.segments)-i <= 2 {
			parts(s)
		}
		fmt.Fprintf(&b, "#EXTINF:%.5f,\n%s-seg%d.mp4?%s\n", s.duration.Seconds(), p.epoch, s.number, query)
	}
	if p.ended != nil {
		b.WriteString("#EXT-X-ENDLIST\n")
		return b.String()
	}
	if len(p.open.parts) > 0 {
		show(p.open)
		parts(p.open)
	}
	fmt.Fprintf(&b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"%s-part%d.%d.mp4?%s\"\n", p.epoch, p.open.number, len(p.open.parts), query)
	return b.String()
}

// patience is how long a request waits for what it asks for: longer than a segment lasts.
func (p *packager) patience() time.Duration { return 3 * p.longest }
