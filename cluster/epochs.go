package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// epochsBegan is the year that first revisions are counted from, so that they stay short.
const epochsBegan = 2025

// firstRevision is that of an EpochBucket that is made now: tenths of milliseconds since the beginning of 2025. A bucket that is made anew has higher ones than the former as long as that was written to less
// than 10,000 times a second over its whole life, and the clock of the node that makes it is not behind.
func firstRevision(now time.Time) uint64 {
	since := now.Sub(time.Date(epochsBegan, 1, 1, 0, 0, 0, 0, time.UTC))
	return uint64(max(1, since/(100*time.Microsecond)))
}

// epochBucket takes a bucket, or makes it, once. The calls of nats.go for buckets have no first revision, so it makes the bucket's stream as NATS describes it (ADR-8).
func (n *Node) epochBucket(ctx context.Context, cfg *jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*askMajority)
	defer cancel()
	kv, err := n.js.KeyValue(ctx, cfg.Bucket)
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return kv, err
	}
	maxSize := cfg.MaxValueSize
	if maxSize == 0 {
		maxSize = -1
	}
	_, err = n.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "KV_" + cfg.Bucket, Description: cfg.Description, Subjects: []string{"$KV." + cfg.Bucket + ".>"}, FirstSeq: firstRevision(time.Now()),
		MaxMsgsPerSubject: 1, MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: maxSize, MaxConsumers: -1, Discard: jetstream.DiscardNew,
		Storage: cfg.Storage, Replicas: cfg.Replicas, Metadata: cfg.Metadata,
		AllowRollup: true, DenyDelete: true, AllowDirect: true, AllowMsgTTL: cfg.LimitMarkerTTL > 0, SubjectDeleteMarkerTTL: cfg.LimitMarkerTTL,
	})
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another node was faster
		return nil, err
	}
	return n.js.KeyValue(ctx, cfg.Bucket)
}
