package secret

import (
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/ccojocar/zxcvbn-go/entropy"
	"github.com/ccojocar/zxcvbn-go/frequency"
	"github.com/ccojocar/zxcvbn-go/match"
	"github.com/ccojocar/zxcvbn-go/matching"
	"github.com/ccojocar/zxcvbn-go/scoring"
	"golang.org/x/text/unicode/norm"
)

// Score is how hard a password is to guess.
type Score struct {
	Value   int     // 0 (at once) to 4 (very hard), zxcvbn's scale
	Guesses float64 // how many guesses an attacker needs on average, at least 1
}

// maxScored is how many characters are scored: what follows cannot lower the
// score below what it is by then, and the work grows with the square.
const maxScored = 100

// longestWord bounds the dictionary look-ups of one position.
const longestWord = 24

// Strength scores password with zxcvbn's dictionaries, Chinese ones (pinyin,
// number slang, common Chinese passwords) and what is known of the owner, as
// for [Rules.Check].
//
// The library's own undoing of substitutions is left out: it tries every
// combination, which takes seconds for a password made of signs. Two fixed
// readings replace it. Its dictionaries are looked up here, because it makes a
// copy of every part of the password for each of them.
func Strength(password string, personal []string) Score {
	text := []rune(norm.NFC.String(clip(password)))
	text = text[:min(len(text), maxScored)]
	if len(text) == 0 {
		return Score{Guesses: 1}
	}
	plain := standIn(text)
	found := matching.Omnimatch(plain, nil, matching.FilterL33tMatcher, isDictionary)
	l := loadLists()
	readings := readings(text)
	found = append(found, readings[0].words(l.library)...)
	known := map[string]int{}
	rank(known, personalTokens(personal))
	for _, dictionary := range []map[string]int{known, l.pinyin, l.common} {
		for _, one := range readings {
			found = append(found, one.words(dictionary)...)
		}
	}
	result := scoring.MinimumEntropyMatchSequence(plain, found)
	return Score{Value: result.Score, Guesses: math.Max(1, math.Exp2(result.Entropy-1))}
}

// isDictionary reports whether a matcher of the library looks words up.
func isDictionary(m match.Matcher) bool {
	_, is := frequency.Lists[m.ID]
	return is
}

// clip shortens what is certainly longer than maxScored before it is normalised.
func clip(password string) string {
	n := 0
	for i := range password {
		if n++; n > 4*maxScored {
			return password[:i]
		}
	}
	return password
}

// standIn gives an ASCII string with one byte for each character, because the
// library counts bytes in some places and characters in others. Characters
// beyond ASCII become control characters, the same one for the same character,
// which it scores as signs.
func standIn(text []rune) string {
	const places = 26
	seen := map[rune]byte{}
	out := make([]byte, len(text))
	for i, r := range text {
		if r < unicode.MaxASCII {
			out[i] = byte(r)
			continue
		}
		code, there := seen[r]
		if !there {
			code = byte(1 + len(seen)%places)
			seen[r] = code
		}
		out[i] = code
	}
	return string(out)
}

// reading is a password in lower case, as it was typed or with substitutions undone.
type reading struct {
	lower   string
	at      []int  // where each character begins in lower, and the end
	typed   []rune // as it was typed
	changed []bool // where the reading differs from that
}

// readings gives what was typed and, where they differ from it, the two with
// substitutions undone.
func readings(typed []rune) []reading {
	out := []reading{read(typed, typed)}
	for _, table := range plainLetters {
		// The tables replace one ASCII character by another, so places stay.
		if undone := []rune(table.Replace(string(typed))); !slices.Equal(undone, typed) {
			out = append(out, read(undone, typed))
		}
	}
	return out
}

func read(text, typed []rune) reading {
	r := reading{typed: typed}
	var lower strings.Builder
	for i, c := range text {
		r.at = append(r.at, lower.Len())
		r.changed = append(r.changed, c != typed[i])
		lower.WriteRune(unicode.ToLower(c))
	}
	r.lower, r.at = lower.String(), append(r.at, lower.Len())
	return r
}

// words finds those of a ranked dictionary. An undone substitution costs an
// attacker one bit.
func (r reading) words(dictionary map[string]int) []match.Match {
	if len(dictionary) == 0 {
		return nil
	}
	var found []match.Match
	for i := range r.typed {
		changed := false
		for j := i; j < min(len(r.typed), i+longestWord); j++ {
			changed = changed || r.changed[j]
			place, there := dictionary[r.lower[r.at[i]:r.at[j+1]]]
			if !there {
				continue
			}
			m := match.Match{Pattern: "dictionary", I: i, J: j, Token: string(r.typed[i : j+1])}
			m.Entropy = entropy.DictionaryEntropy(m, float64(place))
			if changed {
				m.Entropy++
			}
			found = append(found, m)
		}
	}
	return found
}
