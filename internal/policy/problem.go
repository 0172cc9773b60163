package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	File    string
	Line    int    // from 1
	Path    string // keys from the root, dots between; list items by name or number; empty for the file
	Message string // says what to write instead, where that is known
}

// Error gives one line: file:line: path: message.
func (p Problem) Error() string {
	if p.Path == "" {
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message)
	}
	return fmt.Sprintf("%s:%d: %s: %s", p.File, p.Line, p.Path, p.Message)
}

// Errors is everything that is wrong with a file, in the order of its lines.
// Never empty when returned as an error.
type Errors []Problem

// Error gives one line for each problem.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives each problem as an error of its own.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, p := range e {
		all[i] = p
	}
	return all
}

// asError sorts by line and gives nil when there is nothing.
func (e Errors) asError() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return e
}

// didYouMean gives a clause with the known word nearest to the one written, or
// nothing when none is near: at most a third of its letters differ, and one may always.
func didYouMean(written string, known []string) string {
	best, distance := "", len(written)/3+1
	if len(written) > 60 {
		return ""
	}
	for _, word := range slices.Sorted(slices.Values(known)) {
		if d := editDistance(written, word); d <= distance && (best == "" || d < distance) {
			best, distance = word, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance counts the letters to insert, drop or change (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal = row[j]
			row[j] = min(change, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
