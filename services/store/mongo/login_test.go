package mongo_test

import (
	"context"
	"crypto/tls"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xdg-go/scram"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/internal/mongotest"
	"github.com/skua-go/skua/internal/testcert"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/mongo"
)

// doorkeeper lets commands in behind a login by SCRAM.
type doorkeeper struct {
	tb     testing.TB
	memory *mongotest.Memory

	mu   sync.Mutex
	talk *scram.ServerConversation
	in   bool
}

func (d *doorkeeper) answer(command string, doc bson.Raw) bson.D {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch command {
	case "hello", "isMaster", "ismaster":
		return append(mongotest.Hello(), bson.E{Key: "saslSupportedMechs", Value: bson.A{mechanism}})
	case "saslStart":
		if name := doc.Lookup("mechanism").StringValue(); name != mechanism {
			return mongotest.Failure(334, "unexpected mechanism "+name)
		}
		client, err := scram.SHA256.NewClientUnprepped("me", password, "")
		if err != nil {
			d.tb.Error(err)
			return mongotest.Failure(1, err.Error())
		}
		server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) {
			return client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "0123456789012345", Iters: 4096})
		})
		if err != nil {
			d.tb.Error(err)
			return mongotest.Failure(1, err.Error())
		}
		d.talk, d.in = server.NewConversation(), false
		return d.step(doc)
	case "saslContinue":
		return d.step(doc)
	}
	if !d.in {
		return mongotest.Failure(13, "command "+command+" requires authentication")
	}
	return d.memory.Answer(command, doc)
}

const (
	mechanism = "SCRAM-SHA-256"
	password  = "hunter/2?"
)

// forget is for a new connection, of which there is one at a time.
func (d *doorkeeper) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.in = false
}

func (d *doorkeeper) step(doc bson.Raw) bson.D {
	_, payload := doc.Lookup("payload").Binary()
	text, err := d.talk.Step(string(payload))
	if err != nil {
		return mongotest.Failure(18, "Authentication failed.")
	}
	d.in = d.talk.Done() && d.talk.Valid()
	return bson.D{{Key: "ok", Value: 1}, {Key: "conversationId", Value: 1}, {Key: "done", Value: d.in}, {Key: "payload", Value: bson.Binary{Data: []byte(text)}}}
}

func TestAUserLogsInBySCRAM(t *testing.T) {
	keeper := &doorkeeper{tb: t, memory: mongotest.NewMemory()}
	server := mongotest.Answer(t, keeper.answer)
	at := func(password string) string {
		return "mongodb://me:" + url.PathEscape(password) + "@" + server.Addr() + "/?maxPoolSize=1"
	}
	db := open(t, mongo.Options{URI: at(password), Timeout: 10 * time.Second})
	if err := put(t, db, "player", "x", `{"n": 1}`); err != nil {
		t.Fatal(err)
	}
	if doc, err := db.Load(context.Background(), "player", "x"); err != nil || doc.Version != 1 {
		t.Errorf("got %+v, %v", doc, err)
	}
	for uri, what := range map[string]string{at("wrong"): "a wrong password", "mongodb://" + server.Addr() + "/?maxPoolSize=1": "nobody"} {
		keeper.forget()
		db := open(t, mongo.Options{URI: uri, Timeout: 10 * time.Second})
		if _, err := db.Load(context.Background(), "player", "x"); err == nil || store.Retryable(err) || strings.Contains(err.Error(), "wrong") {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

func TestAProcessLogsInByItsCertificateOverTLS(t *testing.T) {
	dir, authority := t.TempDir(), testcert.New(t)
	cert, key := authority.Write(t, dir, "server", "127.0.0.1")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	own, ownKey := authority.Write(t, dir, "node", "node")
	both := filepath.Join(dir, "node.pem") // MongoDB's tools want them in one file
	var joined []byte
	for _, path := range []string{own, ownKey} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		joined = append(joined, data...)
	}
	testcert.Replace(t, both, joined)
	memory := mongotest.NewMemory()
	var mu sync.Mutex
	asked := map[string]bool{}
	server := mongotest.AnswerTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert}, func(command string, doc bson.Raw) bson.D {
		mu.Lock()
		defer mu.Unlock()
		if command == "authenticate" {
			asked[doc.Lookup("mechanism").StringValue()] = true
			return bson.D{{Key: "ok", Value: 1}, {Key: "dbname", Value: "$external"}, {Key: "user", Value: "CN=node"}}
		}
		return memory.Answer(command, doc)
	})
	uri := "mongodb://" + server.Addr() + "/?maxPoolSize=1&tls=true&tlsCAFile=" + url.QueryEscape(cert)
	db := open(t, mongo.Options{URI: uri + "&authMechanism=MONGODB-X509&authSource=$external&tlsCertificateKeyFile=" + url.QueryEscape(both)})
	if err := put(t, db, "player", "x", `{"n": 1}`); err != nil || !asked["MONGODB-X509"] {
		t.Fatalf("got %v, asked for %v", err, asked)
	}
	for what, uri := range map[string]string{
		"without its certificate":  uri,
		"with a stranger's server": "mongodb://" + server.Addr() + "/?maxPoolSize=1&tls=true&tlsCAFile=" + url.QueryEscape(own) + "&tlsCertificateKeyFile=" + url.QueryEscape(both),
		"without TLS":              "mongodb://" + server.Addr() + "/?maxPoolSize=1",
	} {
		db := open(t, mongo.Options{URI: uri, Timeout: 300 * time.Millisecond})
		if _, err := db.Load(context.Background(), "player", "x"); !store.Retryable(err) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}
