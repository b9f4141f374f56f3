package socket_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/services/socket"
)

// checkRope compares a rope with a string, by steps that bytes choose.
func checkRope(t *testing.T, steps []byte) {
	t.Helper()
	r, model := socket.NewRope(), ""
	rnd := rand.New(rand.NewPCG(1, uint64(len(steps))))
	seps := []string{"\n", "aab", "aaaa", "abab", "\r\n", strings.Repeat("a", 40) + "b"}
	for _, step := range steps {
		size := int(step>>3) * int(step>>3) * 7
		switch step & 7 {
		case 0, 1, 2, 3:
			p := make([]byte, size)
			for i := range p {
				p[i] = "aaab\n\ra"[rnd.IntN(7)]
			}
			text := string(p)
			switch step & 3 {
			case 0:
				r.Write(text)
			case 1:
				r.WriteString(text)
			default:
				text = text[:min(len(text), 1<<10)]
				r.Give(text, int(step&1))
			}
			model += text
		case 4, 5, 6:
			sep := seps[int(step>>3)%len(seps)]
			want := strings.Index(model, sep) + 1
			if want > 0 {
				want += len(sep) - 1
			}
			got := r.Index(sep)
			if got != want {
				t.Fatalf("index of %q: got %d, want %d", sep, got, want)
			}
			if step&7 == 6 && got > 0 {
				if line := r.Take(got, len(sep)); line != model[:got-len(sep)] {
					t.Fatalf("got %q, want %q", line, model[:got-len(sep)])
				}
				model = model[got:]
			}
		default:
			n := min(size, len(model))
			if got := r.Take(n, 0); got != model[:n] {
				t.Fatalf("take %d: got %q, want %q", n, got, model[:n])
			}
			model = model[n:]
		}
		if counted, there := r.Len(); counted != len(model) || there != len(model) {
			t.Fatalf("%d bytes counted, %d there, want %d", counted, there, len(model))
		}
	}
}

func TestARopeIsAString(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 30 {
		steps := make([]byte, 200)
		for i := range steps {
			steps[i] = byte(rnd.IntN(256))
		}
		checkRope(t, steps)
	}
}

func FuzzRope(f *testing.F) {
	f.Add([]byte{0xf8, 0x24, 0xf9, 0x26, 0xff})
	f.Add([]byte("\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"))
	f.Fuzz(func(t *testing.T, steps []byte) { checkRope(t, steps[:min(len(steps), 500)]) })
}

func TestManySmallPiecesTakeLittleMoreThanTheirBytes(t *testing.T) {
	r := socket.NewRope()
	for range 100_000 {
		r.Give("ten bytes.", 0)
	}
	if n := r.Memory(); n > 2_000_000 {
		t.Errorf("a million bytes take %d", n)
	}
}

func TestReadingIsLinear(t *testing.T) {
	// Each step is what took minutes if it were not: a search for what is not there after each piece, one with a separator that nearly matches everywhere,
	// and lines out of a large rope.
	start := time.Now()
	r := socket.NewRope()
	piece := strings.Repeat("a", 1000)
	sep := strings.Repeat("a", 5000) + "b"
	for range 3000 {
		r.Write(piece)
		if r.Index(sep) != 0 {
			t.Fatal("found")
		}
	}
	r.Write("b")
	if got := r.Index(sep); got != 3_000_001 {
		t.Fatalf("got %d", got)
	}
	r.Take(3_000_001, 0)
	r.Write(strings.Repeat("a line\n", 300_000))
	for range 300_000 {
		if n := r.Index("\n"); n != 7 || r.Take(n, 1) != "a line" {
			t.Fatal("no line")
		}
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}
