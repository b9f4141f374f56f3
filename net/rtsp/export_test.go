package rtsp

import (
	"log/slog"
	"time"

	"github.com/skua-go/skua/net/media"
)

// Ingest is what packets of a publisher go into, for tests that give it what they like.
type Ingest struct {
	in *ingest
}

// ReadSDP makes one that is open, with all tracks over UDP or in the connection.
func ReadSDP(body []byte, maxFrame int, to *media.Publisher, udp bool) (Ingest, error) {
	in, err := readSDP(body, maxFrame, slog.New(slog.DiscardHandler))
	if err != nil {
		return Ingest{}, err
	}
	if err := in.start(to); err != nil {
		return Ingest{}, err
	}
	over := make([]*route, len(in.tracks))
	for i := range over {
		over[i] = &route{udp: udp}
	}
	in.expect(over)
	return Ingest{in}, nil
}

// Packet is one of RTP for the track, or of RTCP.
func (i Ingest) Packet(track int, control bool, b []byte, now time.Time) error {
	track %= len(i.in.tracks)
	if control {
		return i.in.control(track, b, now)
	}
	return i.in.packet(track, b, now)
}

// Held is how many bytes wait to be a frame.
func (i Ingest) Held() (bytes int) {
	for _, t := range i.in.tracks {
		bytes += t.pending
	}
	return bytes
}
