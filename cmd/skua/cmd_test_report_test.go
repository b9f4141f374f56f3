package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func someResults(out *bytes.Buffer, colour bool) *testReport {
	r := &testReport{out: out, colour: colour, began: time.Now()}
	r.begin("tests.a_test", "tests/a_test.lua")
	r.add(&testResult{name: "passes", status: statusPassed, took: 1500 * time.Millisecond})
	r.add(&testResult{name: "is <odd> \x01", status: statusFailed, text: "a.lua:1: no\x00 \xff\n\tstack", log: "a line ]]>\n"})
	r.add(&testResult{name: "later", status: statusSkipped})
	return r
}

func TestResultsAreColouredOnATerminalOnly(t *testing.T) {
	var plain, colour bytes.Buffer
	for out, on := range map[*bytes.Buffer]bool{&plain: false, &colour: true} {
		if err := someResults(out, on).end(""); !errors.Is(err, errSilent) {
			t.Errorf("a failed test ends with %v", err)
		}
	}
	if strings.Contains(plain.String(), "\x1b") || !strings.Contains(colour.String(), "\x1b[31mFAIL\x1b[0m tests.a_test: is <odd>") {
		t.Errorf("plain:\n%s\ncoloured:\n%s", plain.String(), colour.String())
	}
	if coloured(&plain) {
		t.Error("a buffer is taken for a terminal")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if coloured(f) {
		t.Error("a file is taken for a terminal")
	}
}

func TestTheXMLHasAllResultsWhateverTheyPrint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.xml")
	if err := someResults(&bytes.Buffer{}, false).end(path); !errors.Is(err, errSilent) {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got junitSuites
	if err := xml.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if got.Tests != 3 || got.Failures != 1 || got.Skipped != 1 || len(got.Suites) != 1 || len(got.Suites[0].Cases) != 3 {
		t.Fatalf("%s", text)
	}
	cases := got.Suites[0].Cases
	if s := got.Suites[0]; len(s.Began) != len("2006-01-02T15:04:05") || cases[1].Failure == nil || cases[1].Failure.Type == "" || cases[0].File != "tests/a_test.lua" || !bytes.Contains(text, []byte(` errors="0"`)) {
		t.Errorf("CI servers look for errors, timestamp, file and type: %s", text)
	}
	if cases[0].Time != "1.500" || cases[0].Failure != nil || cases[2].Skipped == nil {
		t.Errorf("%s", text)
	}
	if f := cases[1].Failure; f == nil || f.Message != "a.lua:1: no? ?" || f.Text != "a.lua:1: no? ?\n\tstack" || cases[1].Out != "a line ]]>\n" {
		t.Errorf("%s", text)
	}
	if err := someResults(&bytes.Buffer{}, false).end(t.TempDir()); err == nil || errors.Is(err, errSilent) {
		t.Errorf("a report that can't be written ends with %v", err)
	}
}
