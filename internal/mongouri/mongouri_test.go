package mongouri_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/skua-go/skua/internal/mongouri"
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
		if got := mongouri.Redact(uri); got != want {
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
		_, err := mongouri.Parse(uri)
		if err == nil {
			t.Errorf("%q was taken", uri)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", uri, err, want)
		}
	}
}

func TestSecretsAreTakenOutOfTexts(t *testing.T) {
	clean := mongouri.ScrubberFor("mongodb://me:hunter%402@host/?tlsCertificateKeyFilePassword=swordfish")
	for text, want := range map[string]string{
		"no secrets":              "no secrets",
		"login of hunter@2":       "login of REDACTED",
		"login of hunter%402":     "login of REDACTED",
		"swordfish opens nothing": "REDACTED opens nothing",
	} {
		if got := clean.Error(errors.New(text)).Error(); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	whole := errors.New("no secrets")
	if clean.Error(whole) != whole { //nolint:errorlint // it is the very same
		t.Error("an error without secrets has lost its class")
	}
}
