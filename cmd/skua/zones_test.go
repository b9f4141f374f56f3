package main

import (
	"go/parser"
	"go/token"
	"testing"
)

// Where tests run there is a database of time zones, so what is looked at is that the program has one built in.
func TestTheProgramHasTimeZonesOfItsOwn(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "main.go", nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, imported := range file.Imports {
		if imported.Path.Value == `"time/tzdata"` {
			return
		}
	}
	t.Error("main.go does not import time/tzdata: cron jobs in a zone would fail in a container without zones")
}
