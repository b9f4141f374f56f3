package media_test

import (
	"testing"

	"github.com/skua-go/skua/net/media"
)

// BenchmarkFanOut: what does a frame cost a viewer of 1,000, from the publisher's ring into the viewer's hands, without its socket and its goroutine's wait?
func BenchmarkFanOut(b *testing.B) {
	const viewers = 1000
	s := media.New(media.Config{})
	p, err := s.Publish(nil)
	if err != nil {
		b.Fatal(err)
	}
	track, err := p.Track(media.TrackSpec{Kind: media.Video})
	if err != nil {
		b.Fatal(err)
	}
	p.Complete()
	all := make([]*media.Viewer, viewers)
	for i := range all {
		if all[i], err = s.Join(media.ViewerConfig{}); err != nil {
			b.Fatal(err)
		}
	}
	params, data := &media.Params{Codec: media.H264}, make([]byte, 6000)
	frames := make([]*media.Frame, 32)
	got := 0
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Write(track, media.Sample{Key: true, Data: data, Params: params}); err != nil {
			b.Fatal(err)
		}
		for _, v := range all {
			n, err := v.Take(frames)
			if err != nil {
				b.Fatal(err)
			}
			got += n
		}
	}
	if got != b.N*viewers {
		b.Fatalf("%d frames came, of %d", got, b.N*viewers)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*viewers), "ns/frame-viewer")
}
