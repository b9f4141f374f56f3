package rtc

import (
	"slices"
	"testing"

	"github.com/pion/rtcp"
)

func asked(n *rtcp.TransportLayerNack) (all []uint16) {
	if n == nil {
		return nil
	}
	for i := range n.Nacks {
		all = append(all, n.Nacks[i].PacketList()...)
	}
	return all
}

func TestWhatIsMissingIsAskedForUntilItComes(t *testing.T) {
	const begin = 1<<16 + 65_530
	m := new(missing)
	for _, n := range []uint64{0, 1, 4, 5, 9} {
		m.came(begin + n)
	}
	numbers := func(all ...uint64) (want []uint16) {
		for _, n := range all {
			want = append(want, uint16((begin+n)&0xffff))
		}
		return want
	}
	if got, want := asked(m.ask(1, 2)), numbers(2, 3, 6, 7, 8); !slices.Equal(got, want) {
		t.Errorf("%v are asked for, expected %v", got, want)
	}
	m.came(begin + 3)
	m.came(begin + 7)
	m.came(begin - 5) // it is older than the first
	for range maxAsked - 1 {
		if got, want := asked(m.ask(1, 2)), numbers(2, 6, 8); !slices.Equal(got, want) {
			t.Errorf("%v are asked for, expected %v", got, want)
		}
	}
	if got := asked(m.ask(1, 2)); got != nil {
		t.Errorf("%v are asked for once more", got)
	}
	m.came(begin + 12)
	if got, want := asked(m.ask(1, 2)), numbers(10, 11); !slices.Equal(got, want) {
		t.Errorf("%v are asked for, expected %v", got, want)
	}
	m.came(begin + 100_000) // a jump: nobody has these any more
	if got := asked(m.ask(1, 2)); len(got) != maxMissing {
		t.Errorf("%d are asked for, expected %d", len(got), maxMissing)
	}
	m.came(begin + 200_000)
	if got := asked(m.ask(1, 2)); len(got) != maxMissing || len(m.asked) != maxMissing {
		t.Errorf("%d are asked for, %d are kept, expected %d", len(got), len(m.asked), maxMissing)
	}
}
