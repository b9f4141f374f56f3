package lease_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/internal/freeport"
)

// lab is a NATS server and nodes that reach it by links that can be cut.
type lab struct {
	t     testing.TB
	cfg   lease.Config
	dir   string
	addr  *net.TCPAddr // free while no server listens there
	srv   *server.Server
	nodes []*labNode
}

type labNode struct {
	link    *link
	node    *cluster.Node
	members *cluster.Members
	leases  *lease.Leases
}

func newLab(t testing.TB, n int, cfg lease.Config) *lab {
	t.Helper()
	addr, err := net.ResolveTCPAddr("tcp", freeport.TCP(t, 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	b := &lab{t: t, cfg: cfg, dir: t.TempDir(), addr: addr}
	b.startNATS()
	t.Cleanup(func() { b.stopNATS() })
	for i := range n {
		b.nodes = append(b.nodes, &labNode{link: newLink(t, addr.String())})
		b.start(i)
		t.Cleanup(func() { b.stop(i) })
	}
	for i, node := range b.nodes { // of one that nobody has heard of nobody can tell that it is dead
		for other := range b.nodes {
			if other == i {
				continue
			}
			clustertest.Eventually(t, fmt.Sprintf("n%d has heard of n%d", i, other), func() bool {
				_, known := node.members.Find(fmt.Sprintf("n%d", other))
				return known
			})
		}
	}
	return b
}

func (b *lab) startNATS() {
	srv, err := server.NewServer(&server.Options{Host: b.addr.IP.String(), Port: b.addr.Port, JetStream: true, StoreDir: b.dir, NoSigs: true, NoLog: true})
	if err != nil {
		b.t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(20 * time.Second) {
		b.t.Fatal("the NATS server is not ready")
	}
	b.srv = srv
}

func (b *lab) stopNATS() {
	b.srv.Shutdown()
	b.srv.WaitForShutdown()
}

// stall has JetStream stand still, with all else going on.
func (b *lab) stall() {
	if err := b.srv.DisableJetStream(); err != nil {
		b.t.Error(err)
	}
}

func (b *lab) unstall() {
	if err := b.srv.EnableJetStream(&server.JetStreamConfig{StoreDir: b.dir}); err != nil {
		b.t.Error(err)
	}
}

func (b *lab) start(i int) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	n := b.nodes[i]
	var err error
	if n.node, err = cluster.Open(ctx, cluster.Config{URL: "nats://" + n.link.addr(), Name: fmt.Sprintf("n%d", i)}); err != nil {
		b.t.Fatal(err)
	}
	if n.members, err = cluster.Join(n.node, cluster.MembersConfig{Beat: 50 * time.Millisecond, Suspect: 300 * time.Millisecond, Dead: b.cfg.Dead}); err != nil {
		b.t.Fatal(err)
	}
	if n.leases, err = lease.Open(ctx, n.node, n.members, b.cfg); err != nil {
		b.t.Fatal(err)
	}
}

func (b *lab) stop(i int) {
	n := b.nodes[i]
	if err := n.leases.Close(); err != nil {
		b.t.Error(err)
	}
	n.members.Leave()
	if err := n.node.Close(); err != nil {
		b.t.Error(err)
	}
}

// link passes TCP connections on. While it is cut it swallows nothing and passes nothing on: what was on its way arrives when it is mended.
type link struct {
	listener net.Listener
	to       string
	tasks    sync.WaitGroup

	mu    sync.Mutex
	wake  *sync.Cond
	cut   bool
	ended bool
	conns map[net.Conn]struct{}
}

func newLink(t testing.TB, to string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &link{listener: listener, to: to, conns: map[net.Conn]struct{}{}}
	k.wake = sync.NewCond(&k.mu)
	k.tasks.Go(k.serve)
	t.Cleanup(func() {
		k.mu.Lock()
		k.ended = true
		k.mu.Unlock()
		k.wake.Broadcast()
		listener.Close()
		k.drop()
		k.tasks.Wait()
	})
	return k
}

func (k *link) addr() string { return k.listener.Addr().String() }

func (k *link) serve() {
	for {
		in, err := k.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", k.to)
		if err != nil {
			in.Close()
			continue
		}
		k.mu.Lock()
		k.conns[in], k.conns[out] = struct{}{}, struct{}{}
		k.mu.Unlock()
		k.tasks.Go(func() { k.pass(in, out) })
		k.tasks.Go(func() { k.pass(out, in) })
	}
}

func (k *link) pass(from, to net.Conn) {
	defer func() {
		from.Close()
		to.Close()
		k.mu.Lock()
		delete(k.conns, from)
		k.mu.Unlock()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		k.mu.Lock()
		for k.cut && !k.ended {
			k.wake.Wait()
		}
		k.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (k *link) setCut(cut bool) {
	k.mu.Lock()
	k.cut = cut
	k.mu.Unlock()
	k.wake.Broadcast()
}

// drop ends all connections.
func (k *link) drop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for c := range k.conns {
		c.Close()
	}
}

func TestAJetStreamThatStandsStillLosesNoLeaseThatIsRenewedInTime(t *testing.T) {
	cfg := times()
	cfg.TTL = 16 * time.Second // trusted for 12 s, so a busy machine may take as long as the fault does three times
	b := newLab(t, 2, cfg)
	var held []*lease.Lease
	for i := range 50 {
		held = append(held, acquire(t, b.nodes[0].leases, lease.Key(lease.Lock, fmt.Sprint(i))))
	}
	b.stall()
	<-time.After(3 * time.Second)
	if _, err := b.nodes[1].leases.Try(within(t), held[0].Key(), nil); err == nil {
		t.Fatal("taken while JetStream stood still")
	}
	for _, x := range held {
		if !x.Held() {
			t.Fatalf("%s: %v", x.Key(), x.Err())
		}
	}
	b.unstall()
	renewed := func() bool { // beyond what the writes before would have allowed
		for _, x := range held {
			select {
			case <-x.Done():
				t.Fatalf("%s: %v", x.Key(), x.Err())
			default:
			}
		}
		return time.Since(held[len(held)-1].Since()) > 12500*time.Millisecond
	}
	clustertest.Eventually(t, "12.5 s have passed", renewed)
	for _, x := range held {
		release(t, x)
	}
}

func TestAHolderThatIsCutOffLetsGoBeforeAnotherHasIt(t *testing.T) {
	cfg := times()
	cfg.TTL = time.Minute
	b := newLab(t, 2, cfg)
	key := lease.Key(lease.Lock, "x")
	x := acquire(t, b.nodes[0].leases, key)
	b.nodes[0].link.setCut(true)
	y := acquire(t, b.nodes[1].leases, key)
	if x.Held() {
		t.Fatal("two hold it")
	}
	<-x.Done()
	b.nodes[0].link.setCut(false)
	// What the former holder still wants to write does nothing to the new one.
	z := make(chan *lease.Lease, 1)
	go func() {
		l, err := b.nodes[0].leases.Acquire(within(t), key, nil)
		if err != nil {
			t.Error(err)
		}
		z <- l
	}()
	<-x.Returned()
	if !y.Held() {
		t.Fatalf("the new holder: %v", y.Err())
	}
	release(t, y)
	if l := <-z; l.Epoch() <= y.Epoch() || y.Epoch() <= x.Epoch() {
		t.Fatalf("epochs %d, %d, %d", x.Epoch(), y.Epoch(), l.Epoch())
	}
}

// A process that was paused reads the server's answer before the lease's own goroutine finds out what time it is.
func TestALeaseThatOthersCouldTakeOverIsNotHeldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := lease.Config{TTL: time.Minute, Dead: 3 * time.Second, Grace: 3 * time.Second}
		x, beaten, err := lease.Unkept(cfg)
		if err != nil {
			t.Fatal(err)
		}
		unseen := cfg.Dead + cfg.Grace/3
		for range 2 {
			<-time.After(unseen - 1)
			if !x.Held() {
				t.Fatal("not held before anybody can take it over")
			}
			beaten(time.Now())
		}
		<-time.After(unseen)
		if x.Held() {
			t.Fatal("held while others may take its node for dead")
		}
		<-time.After(cfg.Grace) // another has it now
		beaten(time.Now())
		if x.Held() {
			t.Fatal("held again when its node is seen again")
		}
	})
}

// A node that is back writes, and its next heartbeat is still to come: it is not taken over from as the dead one that it was.
func TestWhatIsTakenByANodeThatIsBackIsNotTakenOverAtOnce(t *testing.T) {
	c := clustertest.Start(t, 1, clustertest.Config{})
	cfg := times()
	cfg.TTL = time.Minute
	n := c.Nodes[0]
	l := open(t, n, cfg)
	if err := n.Node.Conn().Publish("skua.beat", []byte(`{"v":1,"name":"ghost","inc":7,"held":true}`)); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "the ghost is a member", func() bool { _, known := n.Members.Find("ghost"); return known })
	for _, name := range []string{"before", "when it is back"} { // it says nothing any more
		key, written := lease.Key(lease.Lock, name), time.Now()
		if _, err := n.Node.JetStream().Publish(within(t), "$KV.skua_leases."+key, []byte(`{"node":"ghost","inc":7,"id":"x","n":1}`)); err != nil {
			t.Fatal(err)
		}
		x := acquire(t, l, key)
		if took := time.Since(written); took < cfg.Dead+cfg.Grace {
			t.Errorf("%s: taken over %v after it was written, expected not before %v", name, took, cfg.Dead+cfg.Grace)
		}
		release(t, x)
	}
}

// When JetStream ends a message by its TTL, its leader does not look whether there is a newer one on its way.
func TestJetStreamDoesNotEndLeases(t *testing.T) {
	c := clustertest.Start(t, 1, clustertest.Config{})
	l := open(t, c.Nodes[0], times())
	x := acquire(t, l, lease.Key(lease.Lock, "x"))
	stream, err := c.Nodes[0].Node.StreamOf(within(t), "skua_leases")
	if err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "it is renewed", func() bool {
		m, err := stream.GetLastMsgForSubject(within(t), "$KV.skua_leases."+x.Key())
		if err != nil {
			t.Fatal(err)
		}
		if ttl := m.Header.Get(jetstream.MsgTTLHeader); ttl != "" {
			t.Fatalf("revision %d has a TTL of %s", m.Sequence, ttl)
		}
		return m.Sequence > x.Epoch()
	})
	release(t, x)
}

func TestALeaseThatNobodyRenewsOrWantsEnds(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{})
	cfg := times()
	cfg.TTL = 2 * time.Second
	key := lease.Key(lease.Lock, "x")
	ended := make(chan time.Time, 2)
	for _, n := range c.Nodes {
		l, held := open(t, n, cfg), false
		t.Cleanup(l.Watch(key, func(h lease.Holder) {
			if h.Node == "" && held {
				ended <- time.Now()
			}
			held = h.Node != ""
		}))
	}
	written := time.Now()
	if _, err := c.Nodes[0].Node.JetStream().Publish(within(t), "$KV.skua_leases."+key, []byte(`{"node":"nobody","inc":7,"id":"x","n":1}`)); err != nil {
		t.Fatal(err)
	}
	for range c.Nodes {
		select {
		case at := <-ended:
			if took := at.Sub(written); took < cfg.TTL {
				t.Errorf("ended after %v, its holder may have it for %v", took, cfg.TTL)
			}
		case <-within(t).Done():
			t.Fatal("it has not ended")
		}
	}
}

func TestAKeyThatSomebodyElseHasWrittenIsNotHeldForEver(t *testing.T) {
	c := clustertest.Start(t, 1, clustertest.Config{})
	cfg := times()
	cfg.TTL = 2 * time.Second
	l := open(t, c.Nodes[0], cfg)
	for _, text := range []string{"no entry", `{"node":"nobody","inc":7,"id":"x","n":1}`} {
		key := lease.Key(lease.Lock, fmt.Sprint(len(text)))
		if _, err := c.Nodes[0].Node.JetStream().Publish(within(t), "$KV.skua_leases."+key, []byte(text)); err != nil {
			t.Fatal(err)
		}
		refused(t, l, key)
		release(t, acquire(t, l, key))
	}
}
