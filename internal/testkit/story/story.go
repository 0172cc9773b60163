// Package story reads and plays story tests: plain text files, each named as a
// sentence, that say who did what, what was seen, what was sent and what was
// recorded.
//
// A line is a command and its words; # begins a comment where a word could begin.
// Words are split at white space; quotes keep white space, a #, or nothing at
// all together: fill note "". After a line such as -- import.csv -- follow files
// for the commands to use, in the txtar format.
//
//	# The owner stops a stranger.
//	as stranger
//	visit /yichuangtong/recover
//	fill identifier 13800001234
//	press 继续
//	fill code from-inbox li sms    # the stranger holds Li's phone
//
// The commands that act through a browser are here (see [World]); those that
// speak to the server are the caller's. A value may be written as a name that the
// caller gives a meaning to, such as from-inbox PERSON CHANNEL.
//
// Trust: none is asked for; only tests import it.
package story

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/tools/txtar"
)

// Story is one parsed file.
type Story struct {
	Path  string // as given to Parse
	Steps []Step
	files map[string][]byte
}

// Step is one command line.
type Step struct {
	Line    int // counted from 1
	Text    string
	Command string
	Words   []Word
}

// Word is one word after the command. A quoted word is never a value's name.
type Word struct {
	Text   string
	Quoted bool
}

// Name is the file's name without its ending.
func (s *Story) Name() string { return strings.TrimSuffix(path.Base(s.Path), ".txt") }

// File gives a file that the story carries.
func (s *Story) File(name string) ([]byte, error) {
	data, ok := s.files[name]
	if !ok {
		return nil, fmt.Errorf("the story has no file %q", name)
	}
	return data, nil
}

// Parse reads a story. Errors name the file and the line.
func Parse(file string, data []byte) (*Story, error) {
	archive := txtar.Parse(data)
	s := &Story{Path: file, files: map[string][]byte{}}
	for _, f := range archive.Files {
		if _, twice := s.files[f.Name]; twice {
			return nil, fmt.Errorf("%s: file %q is there twice", file, f.Name)
		}
		s.files[f.Name] = f.Data
	}
	number := 0
	for line := range strings.Lines(string(archive.Comment)) {
		number++
		words, err := split(strings.TrimRight(line, "\r\n"))
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, number, err)
		}
		if len(words) == 0 {
			continue
		}
		if words[0].Quoted {
			return nil, fmt.Errorf("%s:%d: a line begins with a command, not with %q", file, number, words[0].Text)
		}
		s.Steps = append(s.Steps, Step{
			Line: number, Text: strings.TrimSpace(line), Command: words[0].Text, Words: words[1:],
		})
	}
	if len(s.Steps) == 0 {
		return nil, fmt.Errorf("%s: the story has no commands", file)
	}
	return s, nil
}

// split cuts a line into words. Quotes may stand anywhere in a word, as in
// name="李 雷"; inside them \" and \\ stand for themselves.
func split(line string) ([]Word, error) {
	var words []Word
	var word strings.Builder
	inWord, inQuotes, quoted := false, false, false
	end := func() {
		if inWord {
			words = append(words, Word{Text: word.String(), Quoted: quoted})
		}
		word.Reset()
		inWord, quoted = false, false
	}
	runes := []rune(line)
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case inQuotes && r == '\\' && i+1 < len(runes) && (runes[i+1] == '"' || runes[i+1] == '\\'):
			i++
			word.WriteRune(runes[i])
		case r == '"':
			inQuotes, inWord, quoted = !inQuotes, true, true
		case inQuotes:
			word.WriteRune(r)
		case unicode.IsSpace(r):
			end()
		case r == '#' && !inWord:
			return words, nil
		default:
			inWord = true
			word.WriteRune(r)
		}
	}
	if inQuotes {
		return nil, fmt.Errorf("a quote is not closed")
	}
	end()
	return words, nil
}

// sentence is the form of a file's name: at least four words with hyphens.
var sentence = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+){3,}\.txt$`)

// CheckName reports what is wrong with a story file's name: it is a sentence in
// lower case with hyphens, such as owner-can-cancel-until-the-last-second.txt.
func CheckName(file string) error {
	if name := path.Base(file); !sentence.MatchString(name) {
		return fmt.Errorf("%q is no sentence with hyphens, such as owner-can-cancel-until-the-last-second.txt", name)
	}
	return nil
}

// CheckOpening reports whether the story fails to begin with a comment that
// tells it in a sentence.
func CheckOpening(data []byte) error {
	first, _, _ := strings.Cut(string(data), "\n")
	told := strings.TrimSpace(strings.TrimPrefix(first, "#"))
	if !strings.HasPrefix(first, "# ") || !strings.Contains(told, " ") || !strings.ContainsAny(told[len(told)-1:], ".:;,") {
		return fmt.Errorf("its first line is %q, not a comment that tells the story in a sentence", first)
	}
	return nil
}
