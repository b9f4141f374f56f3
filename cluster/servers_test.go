package cluster_test

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/internal/freeport"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/internal/testcert"
)

const secret = "a secret of this cluster, known to its nodes"

// trio is three nodes whose servers form one NATS cluster.
type trio struct {
	t      *testing.T
	cfgs   [3]cluster.Config
	logs   [3]*logtest.Buffer
	nodes  [3]*cluster.Node
	opened [3]chan error
}

func newTrio(t *testing.T, change func(i int, cfg *cluster.Config)) *trio {
	t.Helper()
	t.Parallel() // most of the time they wait
	f := &trio{t: t}
	addrs := freeport.TCP(t, 6)
	for i := range f.cfgs {
		f.logs[i] = new(logtest.Buffer)
		f.cfgs[i] = cluster.Config{
			Name: "n" + string(rune('0'+i)), Dir: t.TempDir(), Listen: addrs[3+i], Secret: secret, Lease: 4 * time.Second, Routes: cluster.Routes{Listen: addrs[i], Servers: addrs[:3]},
			Log: slog.New(slog.NewTextHandler(f.logs[i], nil)),
		}
		if change != nil {
			change(i, &f.cfgs[i])
		}
	}
	t.Cleanup(func() {
		f.stop(0, 1, 2)
		if t.Failed() {
			for _, l := range f.logs {
				t.Log(l.String())
			}
		}
	})
	return f
}

// begin opens some of them, each on a goroutine of its own.
func (f *trio) begin(which ...int) {
	for _, i := range which {
		f.opened[i] = make(chan error, 1)
		go func(opened chan<- error) {
			ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
			defer cancel()
			n, err := cluster.Open(ctx, f.cfgs[i])
			f.nodes[i] = n
			opened <- err
		}(f.opened[i])
	}
}

func (f *trio) await(which ...int) {
	f.t.Helper()
	for _, i := range which {
		err := <-f.opened[i]
		f.opened[i] = nil
		if err != nil {
			f.t.Fatalf("node %d: %v", i, err)
		}
	}
}

func (f *trio) stop(which ...int) {
	f.t.Helper()
	done := make(chan error, len(which))
	for _, i := range which {
		go func() {
			if f.opened[i] != nil {
				<-f.opened[i]
			}
			if f.nodes[i] == nil {
				done <- nil
				return
			}
			done <- f.nodes[i].Close()
		}()
	}
	for range which {
		if err := <-done; err != nil {
			f.t.Error(err)
		}
	}
	for _, i := range which {
		f.nodes[i], f.opened[i] = nil, nil
	}
}

// replicas is how many servers keep a bucket, and how many of them are up with it.
func replicas(t *testing.T, n *cluster.Node, bucket string) (all, current int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := n.JetStream().Stream(ctx, "KV_"+bucket)
	if err != nil || s.CachedInfo().Cluster == nil {
		return 0, 0
	}
	info := s.CachedInfo()
	for _, r := range info.Cluster.Replicas {
		if r.Current && !r.Offline {
			current++
		}
	}
	return info.Config.Replicas, current + 1
}

func TestThreeNodesFormTheNATSClusterThemselves(t *testing.T) {
	f := newTrio(t, nil)
	f.begin(2)
	eventually(t, 30*time.Second, "the first says that it waits for the majority", func() bool {
		return f.logs[2].Count("waiting for a majority") > 0
	})
	f.begin(0, 1)
	f.await(0, 1, 2)
	eventually(t, 30*time.Second, "three replicas", func() bool { all, up := replicas(t, f.nodes[0], "skua_nodes"); return all == 3 && up == 3 })
	heard, err := f.nodes[1].Conn().SubscribeSync("hello")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.nodes[1].Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "a message goes from one server's node to another's", func() bool {
		if err := f.nodes[0].Conn().Publish("hello", nil); err != nil {
			t.Fatal(err)
		}
		_, err := heard.NextMsg(50 * time.Millisecond)
		return err == nil
	})

	// One down: names go on being renewed. It comes back as another incarnation.
	before := [3]uint64{f.nodes[0].Lease().Incarnation, f.nodes[1].Lease().Incarnation, f.nodes[2].Lease().Incarnation}
	f.stop(2)
	kv, err := f.nodes[0].Bucket(t.Context(), jetstream.KeyValueConfig{Bucket: "skua_nodes"})
	if err != nil {
		t.Fatal(err)
	}
	from, err := kv.Get(t.Context(), "n0")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 40*time.Second, "the name is renewed without the third", func() bool {
		e, err := kv.Get(t.Context(), "n0")
		return err == nil && e.Revision() > from.Revision()+2
	})
	f.begin(2)
	f.await(2)
	if now := f.nodes[2].Lease().Incarnation; now <= before[2] {
		t.Errorf("incarnation %d after %d", now, before[2])
	}

	// One comes back without its disk: the others bring it up to date.
	f.stop(1)
	if err := os.RemoveAll(f.cfgs[1].Dir); err != nil {
		t.Fatal(err)
	}
	f.begin(1)
	f.await(1)
	eventually(t, 40*time.Second, "three replicas again", func() bool { all, up := replicas(t, f.nodes[0], "skua_nodes"); return all == 3 && up == 3 })

	// All down, and two back: nothing is forgotten, and they are a majority.
	last := f.nodes[2].Lease().Incarnation
	f.stop(0, 1, 2)
	f.begin(2, 0)
	f.await(0, 2)
	f.begin(1)
	f.await(1)
	for i, n := range f.nodes {
		if now := n.Lease().Incarnation; now <= before[i] || now <= last && i == 2 {
			t.Errorf("n%d: incarnation %d after %d, all being down", i, now, before[i])
		}
	}
}

func TestReplicasFollowTheServersButNotThoseThatAnOperatorChose(t *testing.T) {
	f := newTrio(t, nil)
	f.begin(0, 1, 2)
	f.await(0, 1, 2)
	// "early" is as a node makes it while it knows of one server.
	for bucket, marks := range map[string]map[string]string{"chosen": nil, "early": {"skua-replicas": "auto"}} {
		if _, err := f.nodes[0].JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: bucket, Replicas: 1, Metadata: marks}); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range f.nodes {
		for _, bucket := range []string{"chosen", "early", "made"} {
			if _, err := n.Bucket(t.Context(), jetstream.KeyValueConfig{Bucket: bucket}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if made, _ := replicas(t, f.nodes[1], "made"); made != 3 {
		t.Errorf("a new bucket has %d replicas", made)
	}
	eventually(t, 40*time.Second, "three replicas", func() bool { all, up := replicas(t, f.nodes[0], "early"); return all == 3 && up == 3 })
	if chosen, _ := replicas(t, f.nodes[1], "chosen"); chosen != 1 {
		t.Errorf("an operator's bucket has %d replicas", chosen)
	}
}

func TestServersOfAClusterSpeakTLSAndJoinersFindAnother(t *testing.T) {
	dir, ca := t.TempDir(), testcert.New(t)
	cert, key := ca.Write(t, dir, "node", "127.0.0.1", "localhost")
	files := cluster.TLS{CA: ca.WriteRoots(t, dir), Cert: cert, Key: key}
	f := newTrio(t, func(_ int, cfg *cluster.Config) { cfg.TLS = files })
	f.begin(0, 1, 2)
	f.await(0, 1, 2)
	joiner := open(t, cluster.Config{Name: "joiner", Join: []string{f.nodes[0].ListensAt().String()}, Secret: secret, TLS: files, Lease: 4 * time.Second})
	if !joiner.Conn().TLSRequired() {
		t.Error("the connection is not encrypted")
	}
	eventually(t, 20*time.Second, "it knows of the others", func() bool { return len(joiner.Conn().Servers()) >= 3 })
	f.stop(0)
	eventually(t, 30*time.Second, "it uses another server", func() bool {
		return joiner.Conn().IsConnected() && joiner.Conn().ConnectedAddr() != f.cfgs[0].Listen && joiner.Lease().Held
	})
	_, err := cluster.Open(t.Context(), cluster.Config{Name: "plain", Join: []string{f.cfgs[1].Listen}, Secret: secret})
	if err == nil {
		t.Error("a node that does not know the authority was let in")
	}
}

func TestANodeJoinsByTheAddressOfAnother(t *testing.T) {
	for name, shared := range map[string]string{"open": "", "secret": secret} {
		t.Run(name, func(t *testing.T) {
			first := open(t, cluster.Config{Name: "a", Dir: t.TempDir(), Listen: "127.0.0.1:0", Secret: shared, Lease: 2 * time.Second})
			at := []string{first.ListensAt().String()}
			second := open(t, cluster.Config{Name: "b", Join: at, Secret: shared, Lease: 2 * time.Second})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			for from, to := range map[*cluster.Node]string{first: "b", second: "a"} {
				if _, err := from.Ping(ctx, to); err != nil {
					t.Errorf("%s pings %s: %v", from.Name(), to, err)
				}
			}
			_, err := cluster.Open(ctx, cluster.Config{Name: "a", Join: at, Secret: shared, Lease: 2 * time.Second})
			wantError(t, err, "node name is taken", "SKUA_NAME")
			other := strings.Repeat("another ", 6)
			_, err = cluster.Open(ctx, cluster.Config{Name: "c", Join: at, Secret: other})
			if shared == "" {
				wantError(t, err, "that node has no secret")
				return
			}
			wantError(t, err, "the secret is not that node's")
			_, err = cluster.Open(ctx, cluster.Config{Name: "c", Join: at})
			wantError(t, err, "that node has a secret, and this one has none")
			if strings.Contains(err.Error(), other) || strings.Contains(err.Error(), shared) {
				t.Error("a secret was told")
			}
		})
	}
}

func TestNobodyComesInWithoutTheSecret(t *testing.T) {
	f := newTrio(t, nil)
	f.begin(0, 1, 2)
	f.await(0, 1, 2)
	for _, addr := range []string{f.cfgs[0].Listen, f.cfgs[0].Routes.Listen} {
		for _, url := range []string{"nats://" + addr, "nats://skua:skua@" + addr} {
			if c, err := nats.Connect(url, nats.Timeout(5*time.Second)); err == nil {
				c.Close()
				t.Errorf("%s let a stranger in", url)
			}
		}
	}
	// A server without the secret is none of them.
	addrs := freeport.TCP(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := cluster.Open(ctx, cluster.Config{
		Name: "stranger", Dir: t.TempDir(), Listen: "127.0.0.1:0", Secret: strings.Repeat("guess", 10), Routes: cluster.Routes{Listen: addrs[0], Servers: slices.Concat(addrs, f.cfgs[0].Routes.Servers)},
	})
	wantError(t, err, "waiting for a majority")
}

func TestAddressesThatAreTakenAreNamed(t *testing.T) {
	first := open(t, cluster.Config{Name: "a", Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	taken := first.ListensAt().String()
	_, err := cluster.Open(t.Context(), cluster.Config{Name: "b", Dir: t.TempDir(), Listen: taken})
	wantError(t, err, "can't listen on "+taken, "address already in use")
}

func TestWhatCantBeTogetherIsRefused(t *testing.T) {
	three := []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}
	for want, cfg := range map[string]cluster.Config{
		"0.0.0.0:1 is reachable from other machines": {Listen: "0.0.0.0:1"},
		"skua.example:1 is reachable":                {Listen: "skua.example:1"},
		"found 5 characters, expected at least 32":   {Listen: "127.0.0.1:0", Secret: "short"},
		"an address for others and one to join":      {Listen: "127.0.0.1:0", Join: three},
		"a URL and addresses to join":                {URL: "nats://127.0.0.1:1", Join: three},
		"and 2 servers":                              {Routes: cluster.Routes{Listen: "127.0.0.1:0", Servers: three[:2]}},
		`the address ""`:                             {Routes: cluster.Routes{Servers: three}},
		"routes without an address":                  {Routes: cluster.Routes{Listen: "127.0.0.1:0", Servers: three}},
		"routes of an embedded server and others'":   {Join: three, Routes: cluster.Routes{Listen: "127.0.0.1:0", Servers: three}},
		`address "nowhere": expected host:port`:      {Join: []string{"nowhere"}},
		"a port of 0 to 65535":                       {Join: []string{"nowhere:x"}},
		"a certificate and its key":                  {TLS: cluster.TLS{Cert: "x"}},
		"credentials and an nkey":                    {URL: "nats://127.0.0.1:1", Login: cluster.Login{Credentials: "a", NKey: "b"}},
	} {
		cfg.Name, cfg.Dir = "a", t.TempDir()
		_, err := cluster.Open(t.Context(), cfg)
		wantError(t, err, want)
	}
}

func wantError(t *testing.T, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %q", err, text)
		}
	}
}
