package conformance

import (
	"encoding/xml"
	"io"
)

// The elements of a JUnit report.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitMessage `xml:"failure,omitempty"`
		Skipped *junitMessage `xml:"skipped,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
	}
)

// WriteJUnit writes the report as the XML that test servers read. What is not
// implemented is skipped.
func (r Report) WriteJUnit(w io.Writer) error {
	doc := junitSuites{Name: r.Pack + " " + r.Impl.Name}
	for _, s := range r.Suites() {
		doc.Tests += s.Total
		doc.Failures += s.Failed
		doc.Skipped += s.Absent
		suite := junitSuite{Name: s.Suite, Tests: s.Total, Failures: s.Failed, Skipped: s.Absent}
		for _, x := range r.Results {
			if x.Suite == s.Suite {
				suite.Cases = append(suite.Cases, junit(x))
			}
		}
		doc.Suites = append(doc.Suites, suite)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junit(x Result) junitCase {
	c := junitCase{Class: "ctvp." + x.Suite, Name: x.ID}
	switch {
	case x.Absent:
		c.Skipped = &junitMessage{"not implemented"}
	case !x.OK():
		c.Failure = &junitMessage{x.Failure()}
	}
	return c
}
