package mongo_test

import (
	"strings"
	"testing"

	"github.com/skua-go/skua/services/store/mongo"
)

func TestRedactedURIHasNoSecrets(t *testing.T) {
	for uri, want := range map[string]string{
		"mongodb://127.0.0.1:27017/":                                     "mongodb://127.0.0.1:27017/",
		"mongodb://me:hunter2@a,b:1/db?replicaSet=rs&w=1":                "mongodb://REDACTED@a,b:1/db?replicaSet=rs&w=1",
		"mongodb+srv://me:hunter2@cluster.example.net":                   "mongodb+srv://REDACTED@cluster.example.net",
		"mongodb://me:hun@hunter2@host/":                                 "mongodb://REDACTED@host/",
		"mongodb://me:/hunter2?@host/?a=b":                               "mongodb://REDACTED@host/?a=b",
		"mongodb://host/?tlsCertificateKeyFilePassword=hunter2&x=y":      "mongodb://host/?tlsCertificateKeyFilePassword=REDACTED&x=y",
		"mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:hunter2": "mongodb://h/?authMechanismProperties=REDACTED",
		"hunter2":                  "REDACTED",
		"":                         "REDACTED",
		"mongodb:/me:hunter2@host": "REDACTED",
	} {
		if got := mongo.Redact(uri); got != want {
			t.Errorf("%q: got %q, want %q", uri, got, want)
		}
	}
}

func TestWrongURIIsExplainedWithoutItsSecrets(t *testing.T) {
	for uri, want := range map[string]string{
		"":                                 "",
		"http://me:hunter2@host":           "scheme",
		"mongodb://me:hunter2%zz@host/":    "percent-encoding",
		"mongodb://me:/hunter2@host/":      "percent-encoding",
		"mongodb://me:hunter2@/":           "",
		"mongodb://me:hunter2@host:99999/": "99999",
		"mongodb://me:hunter2@host/?w=-3":  "w",
		"mongodb://me:hunter2@host/?tlsCertificateKeyFile=/no/such/file&tlsCertificateKeyFilePassword=hunter2": "/no/such/file",
	} {
		db, err := mongo.Open(mongo.Options{URI: uri})
		if err == nil {
			t.Errorf("%q was taken", uri)
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "store: mongo: ") {
			t.Errorf("%q: got %v, want %q", uri, err, want)
		}
	}
}
