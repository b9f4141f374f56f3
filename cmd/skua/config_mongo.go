package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/skua-go/skua/internal/mongouri"
)

// storeDatabase is the name by which scripts reach the MongoDB that keeps players.
const storeDatabase = "store"

const namedDatabases = "mongo.databases."

func (c *MongoConfig) validate(k *check) {
	for _, name := range slices.Sorted(maps.Keys(c.Databases)) {
		k.that(isDatabaseName(name), "mongo.databases", name, "names of 1 to 64 letters, digits, - and _")
		k.that(name != storeDatabase, "mongo.databases", name, "another name: this one is for store.mongo")
		uri := c.Databases[name]
		if !isMongo(uri.Reveal()) {
			k.that(false, "mongo.databases", uri, "for "+name+" a URI such as mongodb://127.0.0.1:27017")
		} else if !strings.HasPrefix(uri.Reveal(), "mongodb+srv:") { // which a name server would be asked about
			if _, err := mongouri.Parse(uri.Reveal()); err != nil {
				k.failed = append(k.failed, fmt.Errorf("config: %s%s: %w", namedDatabases, name, err))
			}
		}
	}
}

func isMongo(uri string) bool {
	return strings.HasPrefix(uri, "mongodb://") || strings.HasPrefix(uri, "mongodb+srv://")
}

func isDatabaseName(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// refusePasswords is for URIs as they stand in the file: a password in one of them would get wherever the file gets.
func (c *Config) refusePasswords(path string) error {
	uris := map[string]Secret{"store.mongo": c.Store.Mongo}
	for name, uri := range c.Mongo.Databases {
		uris[namedDatabases+name] = uri
	}
	var failed []error
	for _, key := range slices.Sorted(maps.Keys(uris)) {
		if len(mongouri.ScrubberFor(uris[key].Reveal())) > 0 {
			failed = append(failed, fmt.Errorf("config: %s: %s: found a URI with a password or another secret, expected \"env:NAME\" or \"file:PATH\", which say where it is", path, key))
		}
	}
	return errors.Join(failed...)
}

// databases are the deployments that scripts reach by a name: those that are configured, and the one that keeps players.
func (c *Config) databases() map[string]string {
	all := make(map[string]string, len(c.Mongo.Databases)+1)
	for name, uri := range c.Mongo.Databases {
		all[name] = uri.Reveal()
	}
	if uri := c.Store.Mongo.Reveal(); uri != "" {
		all[storeDatabase] = uri
	}
	return all
}
