package flv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/skua-go/skua/net/media"
)

// ErrServer tells that a server does not have the stream that is asked for. It comes wrapped with what it says.
var ErrServer = errors.New("flv: refused by the server")

const (
	// maxBad is how many tags that are not understood may come.
	maxBad = 100
	// idle is how long nothing may come.
	idle = 30 * time.Second
)

// Pull writes what comes from an address over HTTP to a publisher, until that ends, the server does, or ctx. begin gives the publisher when the server has sent the head of an FLV.
func Pull(ctx context.Context, client *http.Client, from string, begin func() (*media.Publisher, error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(idle, func() { cancel(fmt.Errorf("flv: nothing came for %v", idle)) })
	defer watch.Stop()
	err := pull(ctx, client, from, func() (*media.Publisher, error) {
		p, err := begin()
		if err == nil {
			p.AtEnd(func(reason error) { cancel(reason) })
		}
		return p, err
	}, func() { watch.Reset(idle) })
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func pull(ctx context.Context, client *http.Client, from string, begin func() (*media.Publisher, error), alive func()) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		if about, ok := errors.AsType[*url.Error](err); ok { // which repeats the address, and what may be secret in it
			err = about.Err
		}
		return fmt.Errorf("flv: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 256))
		return fmt.Errorf("%w: %s: %s", ErrServer, resp.Status, text)
	}
	r := bufio.NewReaderSize(resp.Body, 32<<10)
	var head [13]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return fmt.Errorf("flv: the head: %w", err)
	}
	if string(head[:3]) != "FLV" {
		return fmt.Errorf("%w: it begins with %q, expected FLV", ErrFormat, head[:3])
	}
	p, err := begin()
	if err != nil {
		return err
	}
	in := Ingest{To: p}
	for bad := 0; ; {
		kind, ms, body, err := ReadTag(r)
		if err != nil {
			return err
		}
		alive()
		if err = in.Feed(kind, ms, body); errors.Is(err, ErrFormat) {
			if bad++; bad < maxBad {
				err = nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// ReadTag reads a tag and its size. Memory is taken for what has come: as much again at most.
func ReadTag(r *bufio.Reader) (kind byte, ms uint32, body []byte, err error) {
	var h [tagHeader]byte
	if _, err = io.ReadFull(r, h[:]); err != nil {
		return 0, 0, nil, err
	}
	kind = h[0] & 0x1f
	size := int(h[1])<<16 | int(h[2])<<8 | int(h[3])
	ms = uint32(h[7])<<24 | uint32(h[4])<<16 | uint32(h[5])<<8 | uint32(h[6])
	if h[0] != kind || kind != TypeAudio && kind != TypeVideo && kind != TypeScript {
		return 0, 0, nil, fmt.Errorf("%w: a tag of type %d", ErrFormat, h[0])
	}
	for len(body) < size {
		at, more := len(body), min(size-len(body), max(len(body), 64<<10))
		body = append(body, make([]byte, more)...)
		if _, err = io.ReadFull(r, body[at:]); err != nil {
			return 0, 0, nil, err
		}
	}
	_, err = r.Discard(tagSize)
	return kind, ms, body, err
}
