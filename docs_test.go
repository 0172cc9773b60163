package wanbi_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rows is how many rows each chapter of the mission has.
var rows = map[string]int{"V": 22, "W": 11, "P": 10, "Y": 13, "X": 6}

// docs/coverage.md has every row, and what it calls working names tests that exist.
func TestCoverageHasEveryRowAndNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("docs/coverage.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	line := regexp.MustCompile(`(?m)^\| ([VWPYX]\d+) \|.*\| (working|not yet) \| (.*) \|$`)
	for _, m := range line.FindAllStringSubmatch(string(text), -1) {
		seen[m[1]] = true
		if m[2] == "working" && len(testsNamed(m[3])) == 0 {
			t.Errorf("%s is working but names no test", m[1])
		}
		for _, path := range testsNamed(m[3]) {
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s names %s, which is not there", m[1], path)
			}
		}
	}
	for chapter, n := range rows {
		for i := 1; i <= n; i++ {
			if row := fmt.Sprintf("%s%d", chapter, i); !seen[row] {
				t.Errorf("row %s is missing", row)
			}
		}
	}
}

// docs/threats.md has every rule, and names tests that exist.
func TestThreatsHaveEveryRuleAndNameTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("docs/threats.md")
	if err != nil {
		t.Fatal(err)
	}
	sources := allTests(t)
	var seen []string
	line := regexp.MustCompile(`(?m)^\| (T\d+) \|.*\| (.*) \|$`)
	for _, m := range line.FindAllStringSubmatch(string(text), -1) {
		seen = append(seen, m[1])
		for _, path := range testsNamed(m[2]) {
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s names %s, which is not there", m[1], path)
			}
		}
		for _, name := range regexp.MustCompile(`Test\w+`).FindAllString(m[2], -1) {
			if !strings.Contains(sources, "func "+name+"(") {
				t.Errorf("%s names %s, which is not there", m[1], name)
			}
		}
	}
	for i := 1; i <= 28; i++ {
		if rule := fmt.Sprintf("T%d", i); !slices.Contains(seen, rule) {
			t.Errorf("rule %s is missing", rule)
		}
	}
}

// testsNamed gives the files and folders that a cell names.
func testsNamed(cell string) []string {
	return regexp.MustCompile(`(?:stories|internal|cmd)/[\w./-]*\w`).FindAllString(cell, -1)
}

// allTests is the text of every test file.
func allTests(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	var read func(dir string)
	read = func(dir string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			path := dir + "/" + e.Name()
			switch {
			case e.IsDir() && !strings.HasPrefix(e.Name(), "."):
				read(path)
			case strings.HasSuffix(e.Name(), "_test.go"):
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				all.Write(text)
			}
		}
	}
	read(".")
	return all.String()
}

// docs/dependencies.md names every direct dependency, and no other.
func TestEveryDirectDependencyIsExplained(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	direct := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(mod), -1) {
		direct[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^\| ([\w./-]+\.[\w./-]+) \|`).FindAllStringSubmatch(string(doc), -1) {
		if !direct[m[1]] {
			t.Errorf("%s is explained but not a direct dependency", m[1])
		}
		delete(direct, m[1])
	}
	for module := range direct {
		t.Errorf("%s is not explained", module)
	}
}
