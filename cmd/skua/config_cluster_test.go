package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBadClusterKeysAreNamedWithWhatWasFoundAndExpected(t *testing.T) {
	const long = "0123456789abcdef0123456789abcdef"
	for want, text := range map[string]string{
		`cluster.beat (SKUA_CLUSTER_BEAT): found 1ms, expected 10ms to 1m0s`:                                        "[cluster]\nbeat = \"1ms\"",
		`cluster.suspect (SKUA_CLUSTER_SUSPECT): found 600ms, expected 1s to 1h0m0s`:                                "[cluster]\nsuspect = \"600ms\"",
		`cluster.dead (SKUA_CLUSTER_DEAD): found 1s, expected 1.501s`:                                               "[cluster]\ndead = \"1s\"",
		`cluster.lease (SKUA_CLUSTER_LEASE): found 2.5s, expected whole seconds from 2s to 1h`:                      "[cluster]\nlease = \"2.5s\"",
		`cluster.drain (SKUA_CLUSTER_DRAIN): found 2h0m0s, expected 0s to 1h0m0s`:                                   "[cluster]\ndrain = \"2h\"",
		`cluster.roles (SKUA_CLUSTER_ROLES): found "a b", expected 1 to 64 letters`:                                 "[cluster]\nroles = [\"a b\"]",
		`cluster.join (SKUA_CLUSTER_JOIN): found "world", expected addresses such as 10.0.0.5:7010`:                 "[cluster]\njoin = [\"world\"]",
		`cluster.join (SKUA_CLUSTER_JOIN): found "world:0", expected addresses`:                                     "[cluster]\njoin = [\"world:0\"]",
		`cluster.join (SKUA_CLUSTER_JOIN): found ":7010", expected addresses`:                                       "[cluster]\njoin = [\":7010\"]",
		`nats (SKUA_NATS): found [secret], expected nothing, as cluster.join`:                                       "nats = \"nats://x:4222\"\n[cluster]\njoin = [\"x:1\"]",
		`listen.cluster (SKUA_LISTEN_CLUSTER): found "127.0.0.1:1", expected "off", as this node has no NATS`:       "[listen]\ncluster = \"127.0.0.1:1\"\n[cluster]\njoin = [\"x:1\"]",
		`listen.cluster (SKUA_LISTEN_CLUSTER): found "127.0.0.1:2", expected "off", as this node has no NATS`:       "nats = \"nats://x:4222\"\n[listen]\ncluster = \"127.0.0.1:2\"",
		`listen.cluster (SKUA_LISTEN_CLUSTER): found "0.0.0.0:1", expected a loopback address such as`:              "[listen]\ncluster = \"0.0.0.0:1\"",
		`listen.cluster (SKUA_LISTEN_CLUSTER): found "here", expected an address`:                                   "[listen]\ncluster = \"here\"",
		`cluster.routes (SKUA_CLUSTER_ROUTES): found 2, expected three, five or seven addresses`:                    "[cluster]\nroutes = [\"a:1\", \"b:1\"]",
		`listen.routes (SKUA_LISTEN_ROUTES): found "off", expected an address such as`:                              "[cluster]\nroutes = [\"a:1\", \"b:1\", \"c:1\"]",
		`listen.cluster (SKUA_LISTEN_CLUSTER): found "off", expected an address such as 127.0.0.1:7010`:             "[cluster]\nroutes = [\"a:1\", \"b:1\", \"c:1\"]",
		`listen.routes (SKUA_LISTEN_ROUTES): found "127.0.0.1:1", expected "off", as cluster.routes has no servers`: "[listen]\nroutes = \"127.0.0.1:1\"",
		`cluster.secret (SKUA_CLUSTER_SECRET): found [secret], expected at least 32 characters`:                     "[cluster]\nsecret = \"short and told\"",
		`cluster.key (SKUA_CLUSTER_KEY): found "", expected the file of the key of cluster.cert`:                    "[cluster]\ncert = \"skua.toml\"",
		`cluster.cert (SKUA_CLUSTER_CERT): found "", expected the file of the certificate`:                          "[cluster]\nkey = \"skua.toml\"",
		`cluster.ca (SKUA_CLUSTER_CA): found "roots.pem", expected a file that is there: no such file`:              "[cluster]\nca = \"roots.pem\"",
		`cluster.nkey (SKUA_CLUSTER_NKEY): found "skua.toml", expected nothing beside cluster.credentials`:          "nats = \"nats://x:1\"\n[cluster]\nnkey = \"skua.toml\"\ncredentials = \"skua.toml\"",
		`cluster.credentials (SKUA_CLUSTER_CREDENTIALS): found "skua.toml", expected nothing without nats`:          "[cluster]\ncredentials = \"skua.toml\"",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, configFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := loadConfig(dir, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "short and told") {
			t.Error("a secret was told")
		}
	}
	dir := t.TempDir()
	text := "[listen]\ncluster = \"0.0.0.0:7010\"\nroutes = \"0.0.0.0:7011\"\n[cluster]\nroutes = [\"a:1\", \"b:1\", \"[::1]:1\"]\nsecret = \"" + long + "\"\n"
	if err := os.WriteFile(filepath.Join(dir, configFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if cfg, err := loadConfig(dir, nil); err != nil || !cfg.shared() {
		t.Error(err)
	}
	// What tests of its scripts run in is no part of any cluster, and needs none of its secrets.
	for _, more := range []string{"", "nats = \"nats://x:1\"\n[cluster]\njoin = [\"x:1\"]\nsecret = \"env:SKUA_NOT_THERE\"\nca = \"nowhere\"\ncredentials = \"nowhere\"\n"} {
		if more != "" {
			text = more
		}
		if err := os.WriteFile(filepath.Join(dir, configFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := loadConfig(dir, nil, func(c *Config) { c.standAlone() })
		if err != nil || cfg.shared() {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestANodeThatJoinsIsCalledAfterProjectAndMachine(t *testing.T) {
	for _, c := range [][3]string{
		{"game", "eu-1.example.net", "game-eu-1"}, {"game", "Büro 7", "game-B-ro-7"}, {"game", "", "game"}, {strings.Repeat("g", 60), "machine", strings.Repeat("g", 60) + "-mac"},
	} {
		if got := joinedName(c[0], c[1]); got != c[2] {
			t.Errorf("%q at %q is called %q, expected %q", c[0], c[1], got, c[2])
		}
	}
}

func TestTokensOfANodeAreGoodOnAllThatHaveTheSecret(t *testing.T) {
	keys := func(secret Secret, dir string) string {
		cfg := DefaultConfig()
		cfg.Dir, cfg.Cluster.Secret = dir, secret
		all, err := cfg.tokenKeys()
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		return string(all[0])
	}
	one, other := Secret(strings.Repeat("1", 32)), Secret(strings.Repeat("2", 32))
	here, there, elsewhere := keys(one, t.TempDir()), keys(one, t.TempDir()), keys(other, t.TempDir())
	if here != there || here == elsewhere {
		t.Error("nodes with one secret have one key, those with another have another")
	}
	if own, others := keys("", t.TempDir()), keys("", t.TempDir()); own == others || own == here {
		t.Error("a node without a secret has a key of its own")
	}
}
