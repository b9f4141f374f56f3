package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// testStatus is how a test ended.
type testStatus string

const (
	statusPassed  testStatus = "passed"
	statusFailed  testStatus = "failed"
	statusSkipped testStatus = "skipped"
)

// testResult is one test; one without a name is its file, which could not be loaded.
type testResult struct {
	name   string
	status testStatus
	text   string // why it failed, with its traceback
	log    string // what the node logged meanwhile
	took   time.Duration
}

// fileResult is the tests of one file.
type fileResult struct {
	name    string
	path    string
	results []*testResult
	began   time.Time
	took    time.Duration
}

// testReport tells results as they come, and collects them.
type testReport struct {
	out    io.Writer
	colour bool
	began  time.Time
	files  []*fileResult
}

// begin opens a file: what require calls it, and its path in the project.
func (r *testReport) begin(name, path string) {
	r.files = append(r.files, &fileResult{name: name, path: path, began: time.Now()})
}

// add takes a result of the last file.
func (r *testReport) add(t *testResult) {
	f := r.files[len(r.files)-1]
	f.results = append(f.results, t)
	name := f.name
	if t.name != "" {
		name += ": " + t.name
	}
	switch t.status {
	case statusPassed:
		fmt.Fprintf(r.out, "%s %s (%.0f ms)\n", r.paint("32", "ok  "), name, float64(t.took)/float64(time.Millisecond))
	case statusSkipped:
		fmt.Fprintf(r.out, "%s %s\n", r.paint("33", "skip"), name)
	default:
		fmt.Fprintf(r.out, "%s %s", r.paint("31", "FAIL"), name)
		if t.name == "" {
			fmt.Fprintf(r.out, ": %s\n", indent(t.text))
		} else {
			fmt.Fprintf(r.out, "\n     %s\n", indent(t.text))
		}
		if t.log != "" {
			fmt.Fprintf(r.out, "     the node's log:\n       %s\n", strings.ReplaceAll(strings.TrimRight(t.log, "\n"), "\n", "\n       "))
		}
	}
}

func indent(text string) string {
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n     ")
}

func (r *testReport) paint(colour, text string) string {
	if !r.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (f *fileResult) count(status testStatus) int {
	n := 0
	for _, t := range f.results {
		if t.status == status {
			n++
		}
	}
	return n
}

// any tells whether there are results.
func (r *testReport) any() bool {
	return slices.ContainsFunc(r.files, func(f *fileResult) bool { return len(f.results) > 0 })
}

// end tells the totals and writes the file for those who read XML, if one is wanted.
func (r *testReport) end(junit string) error {
	var passed, failed, skipped int
	for _, f := range r.files {
		passed += f.count(statusPassed)
		failed += f.count(statusFailed)
		skipped += f.count(statusSkipped)
	}
	more := ""
	if skipped > 0 {
		more = fmt.Sprintf(", %d skipped", skipped)
	}
	fmt.Fprintf(r.out, "%d passed, %d failed%s\n", passed, failed, more)
	if junit != "" {
		if err := r.writeJUnit(junit); err != nil {
			return fmt.Errorf("test: --junit: %w", err)
		}
	}
	if failed > 0 {
		return errSilent
	}
	return nil
}

// The elements of JUnit's XML, as CI servers read it.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"` // none: some readers want the attribute
		Skipped  int          `xml:"skipped,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Began    string      `xml:"timestamp,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		File    string        `xml:"file,attr"` // for those who link to it
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure,omitempty"`
		Skipped *struct{}     `xml:"skipped,omitempty"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

func (r *testReport) writeJUnit(path string) error {
	all := junitSuites{Time: seconds(time.Since(r.began))}
	for _, f := range r.files {
		s := junitSuite{
			Name: f.name, Tests: len(f.results), Failures: f.count(statusFailed), Skipped: f.count(statusSkipped), Time: seconds(f.took),
			Began: f.began.UTC().Format("2006-01-02T15:04:05"),
		}
		for _, t := range f.results {
			s.Cases = append(s.Cases, t.junit(f))
		}
		all.Tests, all.Failures, all.Skipped = all.Tests+s.Tests, all.Failures+s.Failures, all.Skipped+s.Skipped
		all.Suites = append(all.Suites, s)
	}
	data, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append([]byte(xml.Header), append(data, '\n')...), 0o644) //nolint:gosec // a report is for everybody to read
}

func (t *testResult) junit(f *fileResult) junitCase {
	c := junitCase{Class: f.name, File: f.path, Name: legible(t.name), Time: seconds(t.took)}
	switch t.status {
	case statusFailed:
		first, _, _ := strings.Cut(t.text, "\n")
		c.Failure = &junitFailure{Message: legible(first), Type: "failure", Text: legible(t.text)}
		c.Out = legible(t.log)
	case statusSkipped:
		c.Skipped = &struct{}{}
	case statusPassed:
	}
	if c.Name == "" {
		c.Name = "(the file)"
	}
	return c
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// legible makes text of bytes that a test may have printed: XML has no other control characters than these.
func legible(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\n' && c != '\t' || c == utf8.RuneError || c == 0xFFFE || c == 0xFFFF {
			return '?'
		}
		return c
	}, s)
}
