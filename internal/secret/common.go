package secret

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"

	"github.com/ccojocar/zxcvbn-go/frequency"
	"golang.org/x/text/unicode/norm"
)

//go:embed data/common.txt
var commonText string

//go:embed data/pinyin.txt
var pinyinText string

// maxTail is how many digits or signs at the end are taken for decoration of a
// common password: 2024! and the like. A longer end is part of the secret.
const maxTail = 5

// shortestBase is the least that is looked up after decoration was taken off.
const shortestBase = 4

// lists are the embedded word lists: word → place, from 1.
type lists struct {
	common  map[string]int // zxcvbn's passwords, then ours
	pinyin  map[string]int
	library map[string]int // zxcvbn's lists, each word at its best place
}

var loadLists = sync.OnceValue(func() lists {
	l := lists{common: map[string]int{}, pinyin: map[string]int{}, library: map[string]int{}}
	for _, list := range frequency.Lists {
		for i, word := range list.List {
			word = strings.ToLower(word)
			if place, there := l.library[word]; !there || i+1 < place {
				l.library[word] = i + 1
			}
		}
	}
	rank(l.common, frequency.Lists["Passwords"].List)
	rank(l.common, words(commonText))
	rank(l.pinyin, words(pinyinText))
	return l
})

// rank adds words that are not there yet, in order, after those that are.
func rank(into map[string]int, list []string) {
	for _, word := range list {
		word = strings.ToLower(word)
		if _, there := into[word]; !there {
			into[word] = len(into) + 1
		}
	}
}

// words splits a list at spaces, less its headings.
func words(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "# ") {
			all = append(all, strings.Fields(line)...)
		}
	}
	return all
}

// fold gives the form in which looks are compared: compatibility-folded and
// lower case, so that full-width letters hide nothing.
func fold(text string) string {
	return strings.ToLower(norm.NFKC.String(text))
}

// plainLetters undo the substitutions that everybody knows; 1 and ! stand for i
// or l, so there are two tables.
var plainLetters = [2]*strings.Replacer{
	strings.NewReplacer("@", "a", "4", "a", "8", "b", "3", "e", "6", "g", "9", "g", "1", "i", "!", "i", "|", "i", "0", "o", "$", "s", "5", "s", "7", "t", "+", "t", "2", "z"),
	strings.NewReplacer("@", "a", "4", "a", "8", "b", "3", "e", "6", "g", "9", "g", "1", "l", "!", "l", "|", "l", "0", "o", "$", "s", "5", "s", "7", "t", "+", "t", "2", "z"),
}

// isCommon reports whether password is on the block list, as it is or under a
// thin disguise: other case, simple substitutions, a short tail of digits or
// signs. Only the whole password is compared, never a part (§3.1.1.2).
func isCommon(password string) bool {
	list := loadLists().common
	folded := fold(password)
	for _, base := range []string{folded, withoutTail(folded)} {
		if len([]rune(base)) < shortestBase {
			continue
		}
		for _, look := range []string{base, plainLetters[0].Replace(base), plainLetters[1].Replace(base)} {
			if _, there := list[look]; there {
				return true
			}
		}
	}
	return false
}

// withoutTail takes up to maxTail digits and signs off the end, and nothing when
// there are more.
func withoutTail(text string) string {
	base := strings.TrimRightFunc(text, func(r rune) bool { return !unicode.IsLetter(r) })
	if len([]rune(text))-len([]rune(base)) > maxTail {
		return text
	}
	return base
}
