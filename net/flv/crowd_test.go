package flv_test

import (
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/media"
)

// pictures are the numbers of the pictures in a file, which may be cut off at its end, and which of them are key frames.
func pictures(file []byte) (numbers []uint32, keys []bool) {
	for b := file[min(len(file), 13):]; len(b) >= 11; {
		size := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if len(b) < 11+size+4 {
			break
		}
		if body := b[11 : 11+size]; b[0] == flv.TypeVideo && body[0]&0xf != 0 { // else it is parameters
			numbers = append(numbers, binary.BigEndian.Uint32(body[5:])) // behind the codec's name
			keys = append(keys, body[0]>>4&7 == 1)
		}
		b = b[11+size+4:]
	}
	return numbers, keys
}

// TestSlowViewersAmongGoodOnes: of 40 viewers one reads an eighth of what comes and one nothing; the others get each picture.
func TestSlowViewersAmongGoodOnes(t *testing.T) {
	const good, count, size, gop, rate = 40, 300, 8 << 10, 10, 100 // 0.8 MB a second
	s := media.New(media.Config{RingBytes: 1 << 20})
	p, err := s.Publish(nil)
	if err != nil {
		t.Fatal(err)
	}
	track, err := p.Track(media.TrackSpec{Kind: media.Video})
	if err != nil {
		t.Fatal(err)
	}
	p.Complete()
	var mu sync.Mutex
	viewers := map[string]*media.Viewer{}
	pages, err := flv.NewHTTP(flv.HTTPConfig{WriteTimeout: time.Minute, WriteBuffer: 16 << 10, Join: func(r *http.Request) (*media.Viewer, error) {
		lag := 300 * time.Millisecond
		if r.URL.Path == "/good" { // it does read
			lag = time.Minute
		}
		v, err := s.Join(media.ViewerConfig{Lag: lag, Patience: time.Hour})
		mu.Lock()
		viewers[r.URL.Path] = v
		mu.Unlock()
		return v, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(pages)
	defer web.Close()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- pages.Serve(ctx) }()
	get := func(path string) io.ReadCloser {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{ReadBufferSize: 4 << 10}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Body
	}
	var reading sync.WaitGroup
	files := make([]heap, good)
	for i := range files {
		body := get("/good")
		reading.Go(func() {
			defer body.Close()
			_, _ = io.Copy(&files[i], body)
		})
	}
	slow, stalled := get("/slow"), get("/stalled")
	defer stalled.Close()
	var slowFile []byte
	turns, over := make(chan struct{}, count), make(chan struct{})
	reading.Go(func() {
		defer slow.Close()
		buf := make([]byte, 1<<10)
		for {
			n, err := slow.Read(buf)
			slowFile = append(slowFile, buf[:n]...)
			if err != nil {
				return
			}
			select {
			case <-turns: // an eighth of what is written
			case <-over: // what is left comes as fast as it can
			}
		}
	})
	params, _, err := media.NewParams(media.AV1, config(t, media.AV1))
	if err != nil {
		t.Fatal(err)
	}
	each := time.NewTicker(time.Second / rate)
	defer each.Stop()
	for n := range count {
		<-each.C
		for i := range files {
			files[i].await(t, (n-50)*size)
		}
		at := time.Duration(n) * time.Second / rate
		data := make([]byte, size)
		binary.BigEndian.PutUint32(data, uint32(n))
		if err := p.Write(track, media.Sample{DTS: at, PTS: at, Key: n%gop == 0, Data: data, Params: params}); err != nil {
			t.Fatal(err)
		}
		turns <- struct{}{}
		if _, bytes := s.Kept(); bytes > 1<<20 {
			t.Fatalf("the ring has %d bytes", bytes)
		}
	}
	mu.Lock()
	counts := viewers["/slow"].Counts()
	mu.Unlock()
	close(over)
	s.Close(nil)
	reading.Wait()
	cancel() // the one that reads nothing is not waited for
	if err := <-served; err != nil {
		t.Error(err)
	}
	for i := range files {
		if got, _ := pictures(files[i].all.Bytes()); len(got) != count {
			t.Errorf("good viewer %d got %d pictures, want %d", i, len(got), count)
		}
	}
	got, keys := pictures(slowFile)
	for i := range got {
		if i > 0 && got[i] != got[i-1]+1 && !keys[i] {
			t.Errorf("the slow one goes on from picture %d at %d, which is no key frame", got[i-1], got[i])
		}
	}
	if counts.Skips == 0 || len(got) == 0 || len(got) > count/2 {
		t.Errorf("the slow one got %d pictures, %+v", len(got), counts)
	}
}
