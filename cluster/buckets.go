package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// wantedReplicas is how many servers keep each bucket where there are as many: one may be lost.
	wantedReplicas = 3
	// ownReplicas marks, in a bucket's metadata, that its nodes chose its replicas, and may choose anew. Those of an operator are left alone.
	ownReplicas = "skua-replicas"
	// askMajority bounds one question to JetStream while its servers may be too few, and waitReport is how often it is told that they are.
	askMajority = 2 * time.Second
	waitReport  = 5 * time.Second
	// bucketPause is between two tries to make a bucket, and bucketPatience how long it is tried with all replicas before it is made with one.
	bucketPause    = 250 * time.Millisecond
	bucketPatience = 5 * time.Second
	// replicateEvery is how often it is looked whether there are servers enough now.
	replicateEvery = 2 * time.Second
)

// The codes of JetStream's answers that nats.go has no names for (server/errors.json of nats-server).
const (
	codeNoPeers       = 10005
	codeNotAvailable  = 10008
	codeNotLeader     = 10009
	codeNoResources   = 10023
	codeNotReplicated = 10074
)

// buckets are those of this node that have fewer replicas than they should.
type buckets struct {
	mu  sync.Mutex
	few map[string]struct{}
}

// awaitMajority waits until JetStream answers. Where several servers make it up that needs more than half of them; all of them when none has ever been part of it, as then nobody can know what the others have.
func (n *Node) awaitMajority(ctx context.Context) error {
	if n.alone() {
		return nil
	}
	begun, told := time.Now(), time.Now().Add(-waitReport+time.Second)
	for {
		attempt, cancel := context.WithTimeout(ctx, askMajority)
		_, err := n.js.AccountInfo(attempt)
		cancel()
		switch {
		case err == nil:
			if n.server != nil && time.Since(begun) > time.Second {
				n.log.Info("cluster: the NATS servers have a majority", "after", time.Since(begun).Round(time.Millisecond))
			}
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("cluster: waiting for a majority of the NATS servers: %w", ctx.Err())
		case n.server == nil && (errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount)):
			return fmt.Errorf("cluster: JetStream at %s: %w", redact(n.url()), err)
		}
		if time.Since(told) > waitReport {
			told = time.Now()
			n.log.Warn("cluster: waiting for a majority of the NATS servers (for all of them at the very first start)", "servers", n.servers(), "others_connected", n.others(), "since", begun.Format(time.TimeOnly), "err", err)
		}
		if err := pause(ctx, bucketPause); err != nil {
			return fmt.Errorf("cluster: waiting for a majority of the NATS servers: %w", err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// servers is how many there are, as far as this node knows.
func (n *Node) servers() int {
	if n.embedded() {
		return max(1, len(n.cfg.Routes.Servers))
	}
	return len(n.conn.Servers())
}

// others is how many other servers the embedded one is connected to.
func (n *Node) others() int {
	if n.server == nil {
		return 0
	}
	return len(n.server.ActivePeers()) - 1
}

// Bucket opens a key-value bucket, with the settings that it has if it is there, or makes it: with three replicas where there are three servers or more, and with one where there are not. A bucket made with one
// gets its others when there are servers for them. Replicas of cfg is not used. It waits for servers that are about to start; ctx bounds that.
func (n *Node) Bucket(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	return n.awaitBucket(ctx, cfg, n.bucket)
}

// EpochBucket is Bucket for keys whose revisions fence what is kept elsewhere, as in a database: they rise even when JetStream has lost all it had. So they begin high, see firstRevision.
func (n *Node) EpochBucket(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	return n.awaitBucket(ctx, cfg, n.epochBucket)
}

// awaitBucket takes a bucket or makes it, by take, until it is there.
func (n *Node) awaitBucket(ctx context.Context, cfg jetstream.KeyValueConfig, take func(context.Context, *jetstream.KeyValueConfig) (jetstream.KeyValue, error)) (jetstream.KeyValue, error) {
	cfg.Replicas, cfg.Metadata = 1, map[string]string{ownReplicas: "auto"}
	if n.servers() >= wantedReplicas {
		cfg.Replicas = wantedReplicas
	}
	begun, told := time.Now(), time.Now()
	for {
		kv, err := take(ctx, &cfg)
		switch {
		case err == nil:
			n.follow(cfg.Bucket)
			return kv, nil
		case ctx.Err() != nil || !passing(err):
			return nil, fmt.Errorf("cluster: bucket %s: %w", cfg.Bucket, err)
		case hasCode(err, codeNotReplicated), hasCode(err, codeNoPeers, codeNoResources) && time.Since(begun) > bucketPatience:
			if cfg.Replicas == 1 {
				return nil, fmt.Errorf("cluster: bucket %s: %w", cfg.Bucket, err)
			}
			n.log.Warn("cluster: too few NATS servers for replicas, a bucket is kept by one for now", "bucket", cfg.Bucket, "err", err)
			cfg.Replicas = 1
		}
		if time.Since(told) > waitReport {
			told = time.Now()
			n.log.Warn("cluster: a bucket is not there yet", "bucket", cfg.Bucket, "since", begun.Format(time.TimeOnly), "err", err)
		}
		if err := pause(ctx, bucketPause); err != nil {
			return nil, fmt.Errorf("cluster: bucket %s: %w", cfg.Bucket, err)
		}
	}
}

// StreamOf is the stream that a bucket is kept in, for those who read and write it with what buckets have no calls for. The bucket is there.
func (n *Node) StreamOf(ctx context.Context, bucket string) (stream jetstream.Stream, err error) {
	err = n.Persist(ctx, func(ctx context.Context) (err error) {
		stream, err = n.js.Stream(ctx, "KV_"+bucket)
		return err
	})
	return stream, err
}

// bucket takes a bucket, or makes it, once.
func (n *Node) bucket(ctx context.Context, cfg *jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*askMajority)
	defer cancel()
	kv, err := n.js.KeyValue(ctx, cfg.Bucket)
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return kv, err
	}
	kv, err = n.js.CreateKeyValue(ctx, *cfg)
	if errors.Is(err, jetstream.ErrBucketExists) { // another node was faster, with other settings
		return n.js.KeyValue(ctx, cfg.Bucket)
	}
	return kv, err
}

// passing tells whether an error may be another one, or none, a moment later.
func passing(err error) bool {
	return hasCode(err, codeNoPeers, codeNotAvailable, codeNotLeader, codeNoResources, codeNotReplicated) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) ||
		// A server that was apart from the others may not know yet what these have made.
		errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrStreamNotFound)
}

func hasCode(err error, codes ...jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return false
	}
	for _, c := range codes {
		if api.ErrorCode == c {
			return true
		}
	}
	return false
}

// follow has the replicas of a bucket looked after.
func (n *Node) follow(bucket string) {
	n.buckets.mu.Lock()
	defer n.buckets.mu.Unlock()
	if n.buckets.few == nil {
		n.buckets.few = map[string]struct{}{}
	}
	n.buckets.few[bucket] = struct{}{}
}

// replicate gives buckets that were made when there were fewer servers their replicas, until ctx ends.
func (n *Node) replicate(ctx context.Context) {
	tick := time.NewTicker(replicateEvery)
	defer tick.Stop()
	for {
		n.buckets.mu.Lock()
		few := make([]string, 0, len(n.buckets.few))
		for b := range n.buckets.few {
			few = append(few, b)
		}
		n.buckets.mu.Unlock()
		for _, b := range few {
			if n.servers() < wantedReplicas {
				break
			}
			if done, err := n.raise(ctx, b); err != nil && ctx.Err() == nil {
				n.log.Debug("cluster: replicas of a bucket not raised yet", "bucket", b, "err", err)
			} else if done {
				n.buckets.mu.Lock()
				delete(n.buckets.few, b)
				n.buckets.mu.Unlock()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// raise looks at the replicas of one bucket, and tells whether there is nothing more to do.
func (n *Node) raise(ctx context.Context, bucket string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*askMajority)
	defer cancel()
	stream, err := n.js.Stream(ctx, "KV_"+bucket)
	if err != nil {
		return false, err
	}
	info := stream.CachedInfo()
	cfg := info.Config
	if cfg.Replicas >= wantedReplicas || cfg.Metadata[ownReplicas] == "" {
		return true, nil
	}
	if info.Cluster == nil || info.Cluster.Name == "" {
		return true, nil // one server, which is called by several addresses
	}
	cfg.Replicas = wantedReplicas
	if _, err := n.js.UpdateStream(ctx, cfg); err != nil {
		return false, err
	}
	n.log.Info("cluster: a bucket has three replicas now", "bucket", bucket)
	return true, nil
}
