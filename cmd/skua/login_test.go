package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	client "github.com/skua-go/skua/clients/go"
)

const loginConfig = `
name = "doors"
[gate]
agent = "agent"
linger = "0s"
[login]
methods = ["password", "jwt", "hook"]
hash_memory = 65536
hash_time = 1
jwt_keys = "issuer.pub"
jwt_audience = "doors"
jwt_prefix = "id:"
hook = "auth"
`

const loginAgent = `
local login = require "login"
local M = { client = {} }
function M.start(self, player) self.uid = player.uid end
function M.client.who(self) return { uid = self.uid } end
function M.client.leave(self) login.ban(self.uid, { reason = "at your own wish" }) return {} end
function M.client.forget(self) login.revoke(self.uid) return {} end
return M
`

const loginHook = `
local M = {}
function M.login(self, request) if request.ticket == "good" then return { uid = "ticket", name = "Tim" } end return nil, "no ticket" end
return M
`

type loginAnswer struct{ UID, Name, Token string }

// enter connects and logs in; the code is that of the refusal, if there is one.
func (p *program) enter(body map[string]string) (*client.Client, loginAnswer, string) {
	p.t.Helper()
	c, err := client.Dial(p.t.Context(), "tcp://"+p.addrs["tcp"], client.Options{})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	var got loginAnswer
	err = c.Request(p.t.Context(), "login", body, &got)
	var refused *client.Error
	if errors.As(err, &refused) {
		return c, got, refused.Code
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return c, got, ""
}

func (p *program) wants(code string, body map[string]string) loginAnswer {
	p.t.Helper()
	c, got, refused := p.enter(body)
	if refused != code {
		p.t.Errorf("login with %v: %q, want %q", body, refused, code)
	}
	_ = c.Close()
	return got
}

// A project with three ways in: tokens, bans and what was revoked outlive the node.
func TestLoginsOutliveTheNode(t *testing.T) {
	dir := t.TempDir()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "skua.toml"), loginConfig)
	put(t, filepath.Join(dir, "issuer.pub"), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	put(t, filepath.Join(dir, "scripts", "main.lua"), "return {}\n")
	put(t, filepath.Join(dir, "scripts", "agent.lua"), loginAgent)
	put(t, filepath.Join(dir, "scripts", "auth.lua"), loginHook)
	bin := buildProgram(t)
	n := startProgram(t, bin, "run", dir)

	ann := n.wants("", map[string]string{"name": "ann", "password": "secret"})
	jwt := signedJWT(t, private, map[string]any{"sub": 9007199254740993, "aud": "doors", "exp": time.Now().Add(time.Hour).Unix()})
	if got := n.wants("", map[string]string{"jwt": jwt}); got.UID != "id:9007199254740993" {
		t.Errorf("%+v", got)
	}
	n.wants("bad_token", map[string]string{"jwt": jwt + "A"})
	if got := n.wants("", map[string]string{"ticket": "good"}); got.UID != "ticket" || got.Name != "Tim" {
		t.Errorf("%+v", got)
	}
	n.wants("denied", map[string]string{"ticket": "bad"})

	bob, got, _ := n.enter(map[string]string{"name": "bob", "password": "secret"})
	if err := bob.Request(t.Context(), "forget", nil, nil); err != nil {
		t.Error(err)
	}
	n.wants("revoked", map[string]string{"token": got.Token})
	eve, outcast, _ := n.enter(map[string]string{"name": "eve", "password": "secret"})
	_ = eve.Request(t.Context(), "leave", nil, nil)
	<-eve.Done()
	var kick *client.KickError
	if !errors.As(eve.Err(), &kick) || kick.Code != "banned" || kick.Msg != "banned: at your own wish" {
		t.Errorf("eve was told %v", eve.Err())
	}
	info, err := os.Stat(filepath.Join(dir, "data", "login.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	n.stop()

	n = startProgram(t, bin, "run", dir)
	if again := n.wants("", map[string]string{"token": ann.Token}); again.UID != ann.UID {
		t.Errorf("%+v, want %+v", again, ann)
	}
	n.wants("revoked", map[string]string{"token": got.Token})
	n.wants("banned", map[string]string{"name": "eve", "password": "secret"})
	n.wants("banned", map[string]string{"token": outcast.Token})
	n.stop()
}

func signedJWT(t *testing.T, key ed25519.PrivateKey, claims map[string]any) string {
	t.Helper()
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(`{"alg":"EdDSA"}`)) + "." + enc.EncodeToString(body)
	return text + "." + enc.EncodeToString(ed25519.Sign(key, []byte(text)))
}

func TestAKeyForTokensThatCannotBeIsNamed(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "login.key"), "short\n")
	l := DefaultConfig().Login
	if _, err := l.tokenKeysIn(dir); err == nil {
		t.Error("a short key was taken")
	}
	put(t, filepath.Join(dir, "login.key"), "")
	if _, err := l.tokenKeysIn(dir); err == nil {
		t.Error("an empty file was taken")
	}
	l.TokenKeys = "the first key, which has 32 characters\n\n  the second key, which has 32 characters  \n"
	if keys, err := l.tokenKeysIn(dir); err != nil || len(keys) != 2 || string(keys[1]) != "the second key, which has 32 characters" {
		t.Errorf("%q, %v", keys, err)
	}
}
