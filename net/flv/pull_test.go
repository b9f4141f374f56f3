package flv_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/media"
)

func TestAStreamIsPulledOverHTTP(t *testing.T) {
	h := open(t, flv.HTTPConfig{})
	to := media.New(media.Config{})
	v, err := to.Join(media.ViewerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- flv.Pull(ctx, http.DefaultClient, h.url+"/x.flv", func() (*media.Publisher, error) { return to.Publish(nil) })
	}()
	h.viewers(1)
	frames := make([]*media.Frame, 4)
	for _, data := range []string{"one", "two"} {
		h.write(data)
		n, err := v.Next(frames)
		if err != nil || n != 1 || string(frames[0].Data) != data || frames[0].Params.SampleRate != 44100 {
			t.Fatalf("%d frames, %v", n, err)
		}
	}
	h.stream.Close(nil)
	if err := <-ended; err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	v.Close(nil)
}

func TestWhatIsNoFLVIsNotPulled(t *testing.T) {
	h := open(t, flv.HTTPConfig{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(strings.TrimPrefix(r.URL.Path, "/")))
	}))
	defer web.Close()
	for at, want := range map[string]string{
		h.url + "/closed": errNotIn.Error(), web.URL + "/<html>not a stream": "expected FLV", web.URL + "/FLV": "head", web.URL + "/FLV0123456789zzzzzzzzzzzzzzzzzzzz": "type 122",
	} {
		err := flv.Pull(t.Context(), http.DefaultClient, at, func() (*media.Publisher, error) { return media.New(media.Config{}).Publish(nil) })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", at, err, want)
		}
	}
}

// TestAnAddressIsNotRepeated: it may have a secret, and errors are shown to scripts, and logged.
func TestAnAddressIsNotRepeated(t *testing.T) {
	err := flv.Pull(t.Context(), http.DefaultClient, "http://127.0.0.1:1/live/geheim.flv?key=hidden", func() (*media.Publisher, error) { return nil, errNotIn })
	if err == nil || strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "hidden") {
		t.Error(err)
	}
}
