package main

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

// What a project kept in Skynet's configuration file for its own services is in [lua.env].
func TestVariablesOfScriptsAreInTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "redis.pw"), "hunter2\n")
	put(t, filepath.Join(dir, configFile), "name = \"n1\"\n[lua.env]\nregion = \"eu\"\nredis_password = \"file:redis.pw\"\nshard = \"env:SHARD\"\nnode = \"another\"\n")
	cfg, err := loadConfig(dir, []string{"SHARD=7"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"region": "eu", "redis_password": "hunter2", "shard": "7", "node": "n1", "start": "main"}
	if got := cfg.env(); !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	cfg, err = loadConfig(dir, []string{"SKUA_LUA_ENV=region=us url=http://h/?a=b"})
	if got := cfg.env(); err != nil || got["region"] != "us" || got["url"] != "http://h/?a=b" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err = loadConfig(dir, nil); err == nil || !strings.Contains(err.Error(), "lua.env.shard: found env:SHARD, but the variable SHARD is not set") {
		t.Error(err)
	}
	put(t, filepath.Join(dir, configFile), "[lua.env]\nport = 6379\n")
	if _, err = loadConfig(dir, nil); err == nil || !strings.Contains(err.Error(), "lua.env.port: found 6379, expected names, each with a") {
		t.Error(err)
	}
}
