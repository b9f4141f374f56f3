package cluster_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/internal/freeport"
	"github.com/skua-go/skua/internal/logtest"
)

// killedNode names, in the environment of a child of this test, the directory of the node that the child opens and then waits to be killed with.
const killedNode = "CLUSTER_TEST_KILLED_NODE"

func TestMain(m *testing.M) {
	if cfg := os.Getenv(killedNode); cfg != "" {
		os.Exit(holdNode(cfg))
	}
	goleak.VerifyTestMain(m)
}

// killedLease is that of a node that is killed: longer than a test takes.
const killedLease = 2 * time.Minute

// holdNode opens a node, says so, and keeps it until it is killed. cfg is a directory or a URL.
func holdNode(cfg string) int {
	c := cluster.Config{Name: "a", Dir: cfg, Version: "killed", Lease: killedLease}
	if strings.HasPrefix(cfg, "nats://") {
		c.URL = cfg
	}
	if _, err := cluster.Open(context.Background(), c); err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	os.Stdout.WriteString("open\n")
	// Until the parent kills us, or ends and closes our input.
	_, _ = os.Stdin.Read(make([]byte, 1))
	return 2
}

// startKilled runs holdNode in a process of its own and returns what kills it with SIGKILL.
func startKilled(t *testing.T, cfg string) (kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), killedNode+"="+cfg)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed, as it should
		_ = stdin.Close()
	}
	if _, err := stdout.Read(make([]byte, 16)); err != nil {
		kill()
		t.Fatal("the child did not open its node:", err)
	}
	return kill
}

// externalNATS runs a NATS server that listens, with JetStream in dir. Port -1 takes a free one.
func externalNATS(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(40 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	t.Cleanup(func() { stopNATS(srv) })
	return srv
}

// keptPort is for a server that is started anew: nobody else gets it meanwhile.
func keptPort(t *testing.T) int {
	t.Helper()
	addr, err := net.ResolveTCPAddr("tcp", freeport.TCP(t, 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	return addr.Port
}

func stopNATS(srv *server.Server) {
	srv.Shutdown()
	srv.WaitForShutdown()
}

func open(t *testing.T, cfg cluster.Config) *cluster.Node {
	t.Helper()
	n, err := cluster.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// eventually polls what has no event to wait for.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		<-tick.C
	}
}

func logged(to *logtest.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(to, nil)) }

// readyAtOnce fails if a node that is open has waited for a former holder of its name: how long it takes without that is the machine's affair.
func readyAtOnce(t *testing.T, log *logtest.Buffer) {
	t.Helper()
	for _, waited := range []string{"waiting for it", "taking over the name"} {
		if log.Count(waited) > 0 {
			t.Errorf("it was not ready at once:\n%s", log)
		}
	}
}

func metric(t *testing.T, r *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if label != "" && (len(m.GetLabel()) == 0 || m.GetLabel()[0].GetValue() != label) {
				continue
			}
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return 0
}

func TestEmbeddedNodeIsReadyAndAnswersPings(t *testing.T) {
	var log logtest.Buffer
	n := open(t, cluster.Config{Name: "a", Dir: t.TempDir(), Version: "v1.2.3", Log: logged(&log)})
	readyAtOnce(t, &log)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	info, err := n.Ping(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	if info.Name != "a" || info.Version != "v1.2.3" || info.Incarnation != n.Lease().Incarnation || time.Since(info.Started) > time.Minute {
		t.Errorf("answered %+v", info)
	}
	if l := n.Lease(); !l.Held || l.Incarnation == 0 {
		t.Errorf("lease is %+v", l)
	}
	if _, err := n.Ping(ctx, "b"); !errors.Is(err, cluster.ErrNoNode) {
		t.Errorf("pinging nobody: %v", err)
	}
	if n.Err() != nil {
		t.Errorf("an open node has the error %v", n.Err())
	}
}

func TestClosedNodeSaysSo(t *testing.T) {
	n := open(t, cluster.Config{Name: "a", Dir: t.TempDir()})
	for range 2 {
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	<-n.Done()
	if !errors.Is(n.Err(), cluster.ErrClosed) {
		t.Error(n.Err())
	}
	if n.Lease().Held {
		t.Error("a closed node trusts its lease")
	}
}

func TestRestartedNodeHasAHigherIncarnation(t *testing.T) {
	dir := t.TempDir()
	var last uint64
	for range 3 {
		n, err := cluster.Open(t.Context(), cluster.Config{Name: "a", Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		now := n.Lease().Incarnation
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		if now <= last {
			t.Fatalf("incarnation %d after %d", now, last)
		}
		last = now
	}
}

func TestEmbeddedNodeRestartsAtOnceAfterKill(t *testing.T) {
	dir := t.TempDir()
	kill := startKilled(t, dir)
	_, err := cluster.Open(t.Context(), cluster.Config{Name: "a", Dir: dir})
	if !errors.Is(err, cluster.ErrDirInUse) {
		t.Errorf("a second process on the directory: %v", err)
	}
	kill()
	var log logtest.Buffer
	n := open(t, cluster.Config{Name: "a", Dir: dir, Log: logged(&log)})
	readyAtOnce(t, &log)
	if n.Lease().Incarnation < 2 {
		t.Errorf("incarnation %d is that of the killed node", n.Lease().Incarnation)
	}
}

func TestSecondLiveNodeOfANameIsRefused(t *testing.T) {
	url := externalNATS(t, t.TempDir(), -1).ClientURL()
	first := open(t, cluster.Config{URL: url, Name: "a"})
	_, err := cluster.Open(t.Context(), cluster.Config{URL: url, Name: "a"})
	if !errors.Is(err, cluster.ErrNameTaken) || !strings.Contains(err.Error(), "SKUA_NAME") {
		t.Errorf("got %v", err)
	}
	other := open(t, cluster.Config{URL: url, Name: "b"})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if info, err := other.Ping(ctx, "a"); err != nil || info.Incarnation != first.Lease().Incarnation {
		t.Errorf("%+v, %v", info, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	var log logtest.Buffer
	second := open(t, cluster.Config{URL: url, Name: "a", Log: logged(&log)})
	readyAtOnce(t, &log)
	if second.Lease().Incarnation <= first.Lease().Incarnation {
		t.Errorf("incarnation %d after %d", second.Lease().Incarnation, first.Lease().Incarnation)
	}
}

func TestKilledNodeOfAClusterIsReplacedBeforeItsLeaseEnds(t *testing.T) {
	url := externalNATS(t, t.TempDir(), -1).ClientURL()
	startKilled(t, url)()
	begun := time.Now()
	n := open(t, cluster.Config{URL: url, Name: "a"})
	if took := time.Since(begun); took < 2*time.Second || took > killedLease/2 {
		t.Errorf("replaced after %v, want some 3s: neither at once nor at the end of the lease", took)
	}
	if n.Lease().Incarnation < 2 {
		t.Errorf("incarnation %d is that of the killed node", n.Lease().Incarnation)
	}
}

func TestMuteHolderKeepsItsNameUntilItsLeaseEnds(t *testing.T) {
	url := externalNATS(t, t.TempDir(), -1).ClientURL()
	kill := startKilled(t, url)
	kill()
	// A paused process keeps its connection and its subscriptions; here somebody else plays that part.
	paused, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer paused.Close()
	if _, err := paused.SubscribeSync("skua.node.a.ping"); err != nil {
		t.Fatal(err)
	}
	if err := paused.Flush(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second) // twice what one without a connection is waited for
	defer cancel()
	if n, err := cluster.Open(ctx, cluster.Config{URL: url, Name: "a"}); !errors.Is(err, cluster.ErrNameTaken) {
		t.Errorf("got %v, %v", n, err)
	}
}

// The question that is on its way when the caller gives up has no answer any more; the one before had.
func TestWhoGivesUpAskingForANameThatIsHeldHearsThatItIs(t *testing.T) {
	srv := externalNATS(t, t.TempDir(), -1)
	startKilled(t, srv.ClientURL())()
	paused, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer paused.Close()
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	if _, err := paused.Subscribe("nowhere", func(*nats.Msg) { giveUp() }); err != nil {
		t.Fatal(err)
	}
	if _, err := paused.Subscribe("skua.node.a.ping", func(*nats.Msg) {
		if err := srv.GlobalAccount().AddMapping("$KV.skua_nodes.a", "nowhere"); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := paused.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, err := cluster.Open(ctx, cluster.Config{URL: srv.ClientURL(), Name: "a"}); !errors.Is(err, cluster.ErrNameTaken) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", n, err)
	}
}

func TestNodeOutlivesItsNATSServer(t *testing.T) {
	dir := t.TempDir()
	port := keptPort(t)
	srv := externalNATS(t, dir, port)
	metrics := prometheus.NewRegistry()
	n := open(t, cluster.Config{URL: srv.ClientURL(), Name: "a", Lease: 2 * time.Second, Metrics: metrics})
	before := n.Lease()

	stopNATS(srv)
	eventually(t, 40*time.Second, "the node fences itself", func() bool { return !n.Lease().Held })
	if got := metric(t, metrics, "skua_cluster_connected", ""); got != 0 {
		t.Errorf("skua_cluster_connected is %v", got)
	}
	if err := n.Conn().Publish("x", nil); err == nil {
		t.Error("a message was buffered while the connection is down")
	}

	externalNATS(t, dir, port)
	eventually(t, 40*time.Second, "the lease is back", func() bool { return n.Lease().Held })
	if after := n.Lease(); after.Incarnation < before.Incarnation {
		t.Errorf("incarnation went back from %d to %d", before.Incarnation, after.Incarnation)
	}
	for _, event := range []string{"disconnected", "reconnected"} {
		if metric(t, metrics, "skua_cluster_connection_events_total", event) < 1 {
			t.Errorf("event %s was not counted", event)
		}
	}
	if got := metric(t, metrics, "skua_cluster_lease_held", ""); got != 1 {
		t.Errorf("skua_cluster_lease_held is %v", got)
	}
}

func TestReplacedNodeLearnsOfIt(t *testing.T) {
	srv := externalNATS(t, t.TempDir(), -1)
	n := open(t, cluster.Config{URL: srv.ClientURL(), Name: "a", Lease: 2 * time.Second})
	other := open(t, cluster.Config{URL: srv.ClientURL(), Name: "b", Lease: killedLease}) // for so long it leaves what the successor has written
	kv, err := other.JetStream().KeyValue(t.Context(), "skua_nodes")
	if err != nil {
		t.Fatal(err)
	}
	// What a node does that has taken this one for dead.
	if _, err := kv.Put(t.Context(), "a", []byte(`{"version":"other"}`)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-n.Done():
	case <-time.After(40 * time.Second):
		t.Fatal("the node does not know")
	}
	if !errors.Is(n.Err(), cluster.ErrNameTaken) || n.Lease().Held {
		t.Errorf("%v, %+v", n.Err(), n.Lease())
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if e, err := kv.Get(t.Context(), "a"); err != nil || string(e.Value()) != `{"version":"other"}` {
		t.Errorf("the replaced node touched its successor's entry: %v, %v", e, err)
	}
}

func TestEndedLeaseIsRegisteredAnewUnderAHigherIncarnation(t *testing.T) {
	srv := externalNATS(t, t.TempDir(), -1)
	n := open(t, cluster.Config{URL: srv.ClientURL(), Name: "a", Lease: 2 * time.Second})
	before := n.Lease()
	kv, err := n.JetStream().KeyValue(t.Context(), "skua_nodes")
	if err != nil {
		t.Fatal(err)
	}
	// What another node does at the end of a lease.
	if err := kv.Purge(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 40*time.Second, "a new registration", func() bool { l := n.Lease(); return l.Held && l.Incarnation > before.Incarnation })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if info, err := n.Ping(ctx, "a"); err != nil || info.Incarnation != n.Lease().Incarnation {
		t.Errorf("answers pings with %+v, %v", info, err)
	}
	if n.Err() != nil {
		t.Error(n.Err())
	}
}

func TestLeaseOfASilentNodeEndsByItself(t *testing.T) {
	srv := externalNATS(t, t.TempDir(), -1)
	n := open(t, cluster.Config{URL: srv.ClientURL(), Name: "b", Lease: 2 * time.Second})
	kv, err := n.JetStream().KeyValue(t.Context(), "skua_nodes")
	if err != nil {
		t.Fatal(err)
	}
	gone, err := cluster.Open(t.Context(), cluster.Config{URL: srv.ClientURL(), Name: "a", Lease: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	gone.Conn().Close() // it can neither renew nor give the name back
	if err := gone.Close(); err != nil {
		t.Error(err)
	}
	if _, err := kv.Get(t.Context(), "a"); err != nil && time.Since(gone.Lease().Renewed) < 5*time.Second {
		t.Errorf("the lease ended with the connection: %v", err)
	}
	eventually(t, 40*time.Second, "the entry is gone", func() bool {
		_, err := kv.Get(t.Context(), "a")
		return errors.Is(err, jetstream.ErrKeyNotFound)
	})
	if kept := time.Since(gone.Lease().Renewed); kept < 5*time.Second {
		t.Errorf("the name was kept for %v, its lease is 5s", kept)
	}
	if ended, err := n.Ended(t.Context(), "a", gone.Lease().Incarnation); err != nil || !ended {
		t.Errorf("ended: %v, %v", ended, err)
	}
}

func TestLeaseIsRenewed(t *testing.T) {
	srv := externalNATS(t, t.TempDir(), -1)
	n := open(t, cluster.Config{URL: srv.ClientURL(), Name: "a", Lease: 6 * time.Second})
	before := n.Lease()
	kv, err := n.JetStream().KeyValue(t.Context(), "skua_nodes")
	if err != nil {
		t.Fatal(err)
	}
	// Longer than a lease: eight renewals, each a revision.
	eventually(t, 40*time.Second, "eight renewals", func() bool {
		e, err := kv.Get(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		return e.Revision() >= before.Incarnation+8
	})
	if after := n.Lease(); after.Incarnation != before.Incarnation || !after.Held || !after.Renewed.After(before.Renewed) {
		t.Errorf("lease is %+v, was %+v", after, before)
	}
}

func TestDroppedMessagesAreCounted(t *testing.T) {
	metrics := prometheus.NewRegistry()
	n := open(t, cluster.Config{Name: "a", Dir: t.TempDir(), Metrics: metrics})
	block := make(chan struct{})
	entered := make(chan struct{}, 1)
	sub, err := n.Conn().Subscribe("slow", func(*nats.Msg) {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-block
	})
	if err != nil {
		t.Fatal(err)
	}
	defer close(block)
	if err := sub.SetPendingLimits(10, -1); err != nil {
		t.Fatal(err)
	}
	if err := n.Conn().Publish("slow", nil); err != nil {
		t.Fatal(err)
	}
	<-entered
	for range 50 {
		if err := n.Conn().Publish("slow", nil); err != nil {
			t.Fatal(err)
		}
	}
	// Once the server has answered, all messages have reached the subscription or been dropped.
	if err := n.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	lost, err := sub.Dropped()
	if err != nil || lost < 30 || lost > 41 {
		t.Fatalf("%d messages of 50 were dropped at a limit of 10, %v", lost, err)
	}
	eventually(t, 40*time.Second, "all dropped messages are counted", func() bool {
		return metric(t, metrics, "skua_cluster_dropped_messages_total", "") == float64(lost)
	})
}

func TestPingWithoutAReplyIsCountedAndHarmless(t *testing.T) {
	metrics := prometheus.NewRegistry()
	n := open(t, cluster.Config{Name: "a", Dir: t.TempDir(), Metrics: metrics})
	if err := n.Conn().Publish("skua.node.a.ping", []byte("\xff\x00 garbage")); err != nil {
		t.Fatal(err)
	}
	eventually(t, 40*time.Second, "a counted bad ping", func() bool {
		return metric(t, metrics, "skua_cluster_connection_events_total", "bad_ping") == 1
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := n.Ping(ctx, "a"); err != nil {
		t.Error(err)
	}
}

func TestPingsAreAnsweredToInboxesOnly(t *testing.T) {
	n := open(t, cluster.Config{Name: "a", Dir: t.TempDir()})
	heard := make(chan *nats.Msg, 8)
	for _, subject := range []string{"skua.>", "$KV.>", "_INBOX.mine"} {
		if _, err := n.Conn().ChanSubscribe(subject, heard); err != nil {
			t.Fatal(err)
		}
	}
	for _, reply := range []string{"$KV.skua_nodes.a", "skua.beat", "_INBOX.mine"} {
		if err := n.Conn().PublishRequest("skua.node.a.ping", reply, nil); err != nil {
			t.Fatal(err)
		}
	}
	for m := range heard {
		switch m.Subject {
		case "skua.node.a.ping":
		case "_INBOX.mine": // asked last
			return
		default:
			t.Fatalf("an answer to %s", m.Subject)
		}
	}
}

func TestForgedPingAnswersAreRefused(t *testing.T) {
	n := open(t, cluster.Config{Name: "a", Dir: t.TempDir()})
	for name, answer := range map[string]string{"garbage": "\xff{", "other": `{"name":"a","incarnation":7}`} {
		if _, err := n.Conn().Subscribe("skua.node."+name+".ping", func(m *nats.Msg) { _ = m.Respond([]byte(answer)) }); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if info, err := n.Ping(ctx, name); err == nil {
			t.Errorf("%s: took %+v", name, info)
		}
		cancel()
	}
}

func TestBadNamesAreRefused(t *testing.T) {
	for _, name := range []string{"", "a.b", "*", ">", "a b", "ä", "a\x00", strings.Repeat("a", 65), "$SYS"} {
		if err := cluster.CheckName(name); !errors.Is(err, cluster.ErrName) {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := cluster.Open(t.Context(), cluster.Config{Name: name, Dir: t.TempDir()}); !errors.Is(err, cluster.ErrName) {
			t.Errorf("opening %q: %v", name, err)
		}
	}
	for _, name := range []string{"a", "Gate-1", "eu_west-2", strings.Repeat("a", 64)} {
		if err := cluster.CheckName(name); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenFailsClearly(t *testing.T) {
	for want, cfg := range map[string]cluster.Config{
		"neither a URL nor a Dir":         {Name: "a"},
		"expected whole seconds from 2s":  {Name: "a", Dir: t.TempDir(), Lease: 1500 * time.Millisecond},
		"nats://me:xxxxx@127.0.0.1:1: na": {Name: "a", URL: "nats://me:secret@127.0.0.1:1"},
	} {
		_, err := cluster.Open(t.Context(), cfg)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := cluster.Open(t.Context(), cluster.Config{Name: "a", Dir: "/dev/null"}); err == nil {
		t.Error("a Dir that is a file was taken")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := cluster.Open(ended, cluster.Config{Name: "a", Dir: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
