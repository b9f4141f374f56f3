package reload

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skua-go/skua/cluster"
	code "github.com/skua-go/skua/lua/reload"
)

// Versions are kept in a JetStream bucket: it is there before any service is, it is the same for all nodes, also where each has a database of its own, and it has
// compare-and-set, which the one record that says what runs needs.
const (
	bucketName  = "skua_versions"
	currentKey  = "current"
	historyKey  = "history"
	chunkBytes  = 256 << 10 // below the largest message of a server that nobody has configured
	maxChunks   = 4096
	maxHistory  = 200 // entries
	maxConflict = 20  // tries to write a record that others write, too
)

// Current is the record of what the cluster runs. Whatever nodes have done in between, this is what they come to.
type Current struct {
	ID   string    `json:"id"`
	Sum  string    `json:"sum"`           // SHA-256 of what the version is packed as
	Dir  string    `json:"dir,omitempty"` // ID of what lay in the folder of the node that made it current
	MAC  string    `json:"mac,omitempty"` // by the cluster's secret
	Time time.Time `json:"time"`

	revision uint64
}

// HistoryEntry is a line of the history of versions.
type HistoryEntry struct {
	Time    time.Time    `json:"time"`
	Action  string       `json:"action" enum:"start,reload,rollback,fallback" doc:"start: a node began with the scripts of its folder. fallback: one began with an older version, as it could not with the current one."`
	Outcome string       `json:"outcome" enum:"done,undone"`
	ID      string       `json:"id"`
	From    string       `json:"from,omitempty" doc:"The version before."`
	Label   string       `json:"label,omitempty"`
	Canary  string       `json:"canary,omitempty" doc:"The group that tried it first, and for how long."`
	Who     string       `json:"who,omitempty"`
	Node    string       `json:"node,omitempty" doc:"That was asked."`
	Error   string       `json:"error,omitempty" doc:"Why it was undone."`
	Files   []FileChange `json:"files,omitempty" doc:"Up to 30."`
	More    int          `json:"more_files,omitempty" doc:"How many more files have changed."`
}

// meta is what is known of a version that is kept.
type meta struct {
	ID     string    `json:"id"`
	Sum    string    `json:"sum"`
	Chunks int       `json:"chunks"`
	Kept   time.Time `json:"kept"`
	// Booted says that a node has begun with it: if one can't later, that is not the version's fault.
	Booted bool   `json:"booted,omitempty"`
	MAC    string `json:"mac,omitempty"` // by the cluster's secret
}

// kept is the versions of the cluster.
type kept struct {
	node *cluster.Node
	kv   jetstream.KeyValue
	key  []byte // nil without a secret
	keep int
}

func openKept(ctx context.Context, n *cluster.Node, key []byte, keep int) (*kept, error) {
	kv, err := n.Bucket(ctx, jetstream.KeyValueConfig{Bucket: bucketName, Description: "the versions of the scripts", Storage: jetstream.FileStorage})
	if err != nil {
		return nil, fmt.Errorf("reload: %w", err)
	}
	return &kept{node: n, kv: kv, key: key, keep: keep}, nil
}

// read gives the value of a key, nil if there is none.
func (k *kept) read(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	err = k.node.Persist(ctx, func(ctx context.Context) error {
		e, err := k.kv.Get(ctx, key)
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound):
			value, revision = nil, 0
			return nil
		case err != nil:
			return err
		}
		value, revision = e.Value(), e.Revision()
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("reload: read %s: %w", key, err)
	}
	return value, revision, nil
}

func (k *kept) put(ctx context.Context, key string, value []byte) error {
	err := k.node.Persist(ctx, func(ctx context.Context) error {
		_, err := k.kv.Put(ctx, key, value)
		return err
	})
	if err != nil {
		return fmt.Errorf("reload: write %s: %w", key, err)
	}
	return nil
}

// ErrConflict is wrapped when somebody else has written the record meanwhile.
var ErrConflict = errors.New("reload: another node has made another version current meanwhile")

// replace writes a record whose revision is known, 0 if there is none.
func (k *kept) replace(ctx context.Context, key string, value []byte, revision uint64) error {
	var err error
	if revision == 0 {
		_, err = k.kv.Create(ctx, key, value)
	} else {
		_, err = k.kv.Update(ctx, key, value, revision)
	}
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrKeyExists), errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant):
		return fmt.Errorf("%w: %s", ErrConflict, key)
	}
	return fmt.Errorf("reload: write %s: %w", key, err)
}

// current reads what the cluster runs; nil if there is nothing.
func (k *kept) current(ctx context.Context) (*Current, error) {
	text, revision, err := k.read(ctx, currentKey)
	if err != nil || text == nil {
		return nil, err
	}
	return k.parse(text, revision)
}

func (k *kept) parse(text []byte, revision uint64) (*Current, error) {
	c := &Current{revision: revision}
	if err := json.Unmarshal(text, c); err != nil || !isID(c.ID) {
		return nil, fmt.Errorf("reload: the record of the current version can't be read: %q", clip(string(text)))
	}
	if k.key != nil && !hmac.Equal([]byte(c.MAC), []byte(k.sign(c))) {
		return nil, errors.New("reload: the record of the current version is not signed by this cluster's secret (cluster.secret)")
	}
	return c, nil
}

func isID(text string) bool {
	_, err := hex.DecodeString(text)
	return err == nil && len(text) == 16
}

func (k *kept) sign(c *Current) string {
	return k.mac("current", c.ID, c.Sum, c.Dir, strconv.FormatInt(c.Time.UnixNano(), 10))
}

// mac is by the cluster's secret: who reaches the bucket without it makes no node run something.
func (k *kept) mac(words ...string) string {
	if k.key == nil {
		return ""
	}
	m := hmac.New(sha256.New, k.key)
	m.Write([]byte(strings.Join(words, " ")))
	return hex.EncodeToString(m.Sum(nil))
}

// setCurrent makes a version current, if that record is the newest.
func (k *kept) setCurrent(ctx context.Context, c Current, revision uint64) error {
	c.Time = time.Now().UTC()
	c.MAC = k.sign(&c)
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	return k.replace(ctx, currentKey, text, revision)
}

// save keeps the text of a version, and gives its sum.
func (k *kept) save(ctx context.Context, v *code.Version) (sum string, err error) {
	m, err := k.meta(ctx, v.ID())
	if err != nil {
		return "", err
	}
	if m != nil {
		if _, err := k.load(ctx, v.ID(), m.Sum); err == nil {
			return m.Sum, nil
		}
	}
	packed, err := pack(v)
	if err != nil {
		return "", err
	}
	chunks := (len(packed) + chunkBytes - 1) / chunkBytes
	if chunks > maxChunks {
		return "", fmt.Errorf("reload: version %s has %d bytes, expected at most %d", v.ID(), len(packed), maxChunks*chunkBytes)
	}
	for i := range chunks {
		if err := k.put(ctx, chunkKey(v.ID(), i), packed[i*chunkBytes:min((i+1)*chunkBytes, len(packed))]); err != nil {
			return "", err
		}
	}
	m = &meta{ID: v.ID(), Sum: sumOf(packed), Chunks: chunks, Kept: time.Now().UTC()}
	return m.Sum, k.putMeta(ctx, m)
}

func sumOf(packed []byte) string {
	sum := sha256.Sum256(packed)
	return hex.EncodeToString(sum[:])
}

func chunkKey(id string, i int) string { return "text." + id + "." + strconv.Itoa(i) }

func (k *kept) putMeta(ctx context.Context, m *meta) error {
	m.MAC = k.mac("version", m.ID, m.Sum)
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	return k.put(ctx, "version."+m.ID, text)
}

// meta is what is known of a version, nil if it is not kept.
func (k *kept) meta(ctx context.Context, id string) (*meta, error) {
	text, _, err := k.read(ctx, "version."+id)
	if err != nil || text == nil {
		return nil, err
	}
	m := &meta{}
	if err := json.Unmarshal(text, m); err != nil || m.ID != id || m.Chunks < 0 || m.Chunks > maxChunks {
		return nil, fmt.Errorf("reload: what is kept of version %s can't be read", id)
	}
	return m, nil
}

// ErrNoVersion is wrapped for versions that are not kept.
var ErrNoVersion = errors.New("reload: no such version is kept")

// load reads a version. Its text must have that sum, unless it is empty.
func (k *kept) load(ctx context.Context, id, sum string) (*code.Version, error) {
	m, err := k.meta(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case m == nil:
		return nil, fmt.Errorf("%w: %s; `skua versions` lists those that are", ErrNoVersion, id)
	}
	var packed []byte
	for i := range m.Chunks {
		chunk, _, err := k.read(ctx, chunkKey(id, i))
		if err != nil {
			return nil, err
		}
		packed = append(packed, chunk...)
	}
	if k.key != nil && !hmac.Equal([]byte(m.MAC), []byte(k.mac("version", id, m.Sum))) {
		return nil, fmt.Errorf("reload: version %s is not signed by this cluster's secret (cluster.secret)", id)
	}
	if got := sumOf(packed); got != m.Sum || sum != "" && got != sum {
		return nil, fmt.Errorf("reload: version %s is not what was kept: its sum is %s", id, got)
	}
	return unpack(id, packed)
}

// booted notes that a node has begun with a version.
func (k *kept) booted(ctx context.Context, id string) error {
	m, err := k.meta(ctx, id)
	if err != nil || m == nil || m.Booted {
		return err
	}
	m.Booted = true
	return k.putMeta(ctx, m)
}

// history is what has happened, the newest first.
func (k *kept) history(ctx context.Context) ([]HistoryEntry, error) {
	all, _, err := k.readHistory(ctx)
	return all, err
}

func (k *kept) readHistory(ctx context.Context) ([]HistoryEntry, uint64, error) {
	text, revision, err := k.read(ctx, historyKey)
	if err != nil || text == nil {
		return []HistoryEntry{}, revision, err
	}
	all := []HistoryEntry{}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, revision, fmt.Errorf("reload: the history can't be read: %w", err)
	}
	return all, revision, nil
}

// note adds an entry to the history, and lets go of versions that are too old.
func (k *kept) note(ctx context.Context, e *HistoryEntry) error {
	e.Error = clip(e.Error)
	e.Time = time.Now().UTC()
	if len(e.Files) > maxInLog {
		e.Files, e.More = e.Files[:maxInLog], len(e.Files)-maxInLog
	}
	for range maxConflict {
		all, revision, err := k.readHistory(ctx)
		if err != nil {
			return err
		}
		all = slices.Insert(all, 0, *e)
		all = all[:min(len(all), maxHistory)]
		text, err := json.Marshal(all)
		for err == nil && len(text) > 2*chunkBytes { // errors and diffs of many files
			all = all[:len(all)*3/4]
			text, err = json.Marshal(all)
		}
		if err != nil {
			return fmt.Errorf("reload: %w", err)
		}
		err = k.replace(ctx, historyKey, text, revision)
		if !errors.Is(err, ErrConflict) {
			return errors.Join(err, k.prune(ctx, all))
		}
	}
	return fmt.Errorf("%w: %s", ErrConflict, historyKey)
}

// prune lets go of all versions but the newest of the history, and the current one.
func (k *kept) prune(ctx context.Context, history []HistoryEntry) error {
	stay := map[string]bool{}
	for i := range history {
		if e := &history[i]; len(stay) < k.keep {
			stay[e.ID] = true
			if len(stay) < k.keep && e.From != "" {
				stay[e.From] = true
			}
		}
	}
	if c, err := k.current(ctx); err != nil {
		return err
	} else if c != nil {
		stay[c.ID] = true
	}
	keys, err := k.kv.ListKeysFiltered(ctx, "version.*")
	if err != nil {
		return fmt.Errorf("reload: list the versions: %w", err)
	}
	var gone []string
	for key := range keys.Keys() {
		if id := strings.TrimPrefix(key, "version."); !stay[id] {
			gone = append(gone, id)
		}
	}
	for _, id := range gone {
		if err := k.forget(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// pruneAfter is how long a version is kept at least: it may be one that is about to become current.
const pruneAfter = 10 * time.Minute

func (k *kept) forget(ctx context.Context, id string) error {
	m, err := k.meta(ctx, id)
	if err != nil || m == nil || time.Since(m.Kept) < pruneAfter {
		return err
	}
	for i := range m.Chunks {
		if err := k.kv.Purge(ctx, chunkKey(id, i)); err != nil {
			return fmt.Errorf("reload: let go of version %s: %w", id, err)
		}
	}
	if err := k.kv.Purge(ctx, "version."+id); err != nil {
		return fmt.Errorf("reload: let go of version %s: %w", id, err)
	}
	return nil
}
