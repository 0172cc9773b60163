package secret

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The least of a personal fact that counts when a password contains it.
const (
	phoneTail    = 4 // what people read out of a number
	shortestWord = 4 // letters; a shorter name only counts when it is all there is
	shortestHan  = 2 // characters
)

// isPersonal reports whether password contains something known of its owner.
func isPersonal(password string, personal []string) bool {
	folded := fold(password)
	looks := []string{folded, plainLetters[0].Replace(folded), plainLetters[1].Replace(folded)}
	bare := strings.TrimFunc(folded, func(r rune) bool { return !unicode.IsLetter(r) })
	for _, token := range personalTokens(personal) {
		if !longEnough(token) {
			if token == bare {
				return true
			}
			continue
		}
		for _, look := range looks {
			if strings.Contains(look, token) {
				return true
			}
		}
	}
	return false
}

func longEnough(token string) bool {
	n := utf8.RuneCountInString(token)
	if first, _ := utf8.DecodeRuneInString(token); unicode.Is(unicode.Han, first) {
		return n >= shortestHan
	}
	return n >= shortestWord
}

// maxPersonal bounds the work for a caller that hands over too much.
const maxPersonal = 64

// personalTokens takes facts apart into what people make passwords of: words of
// names and addresses, names written together in either order, ends of numbers,
// and dates in the usual digit forms. Tokens are folded.
func personalTokens(personal []string) []string {
	var tokens []string
	for _, fact := range personal[:min(len(personal), maxPersonal)] {
		fact = fold(strings.TrimSpace(fact))
		if local, _, isEmail := strings.Cut(fact, "@"); isEmail {
			fact = local
		}
		tokens = append(tokens, dateTokens(fact)...)
		digits := keep(fact, unicode.IsDigit)
		if len(digits) >= phoneTail && !strings.ContainsFunc(fact, isWordLetter) {
			tokens = append(tokens, digits[len(digits)-phoneTail:])
		}
		parts := strings.FieldsFunc(fact, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		letters := 0
		for _, part := range parts {
			if strings.ContainsFunc(part, unicode.IsLetter) {
				tokens = append(tokens, part)
				letters++
				if word := keep(part, unicode.IsLetter); word != part {
					tokens = append(tokens, word)
				}
			}
		}
		if letters > 1 {
			tokens = append(tokens, strings.Join(parts, ""))
			if len(parts) == 2 {
				tokens = append(tokens, parts[1]+parts[0])
			}
		}
	}
	return tokens
}

// isWordLetter tells the letters of a name from the x at the end of a resident ID.
func isWordLetter(r rune) bool { return unicode.IsLetter(r) && r != 'x' }

func keep(text string, want func(rune) bool) string {
	return strings.Map(func(r rune) rune {
		if want(r) {
			return r
		}
		return -1
	}, text)
}

// dateTokens gives the digit forms of a date of birth, also of the one inside a
// resident ID: 19900307, 900307 and 199037; none when fact is no date. Month and day alone
// are the end of the number, which counts anyway.
func dateTokens(fact string) []string {
	digits := keep(fact, unicode.IsDigit)
	if len(fact) == 18 && len(digits) >= 17 {
		digits = digits[6:14]
	}
	if len(digits) != 8 {
		return nil
	}
	day, err := time.Parse("20060102", digits)
	if err != nil || day.Year() < 1900 || day.Year() > 2099 {
		return nil
	}
	return []string{day.Format("20060102"), day.Format("060102"), day.Format("200612")}
}

// runs are the orders in which neighbours count as a sequence, forwards and
// backwards.
var runs = []string{
	"abcdefghijklmnopqrstuvwxyz", "01234567890",
	"1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./",
	"1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik,", "9ol.", "0p;/",
	"147", "258", "369", "741852963", "789456123",
}

// unshifted undoes the shift key on the row of digits.
var unshifted = strings.NewReplacer("!", "1", "@", "2", "#", "3", "$", "4", "%", "5", "^", "6", "&", "7", "*", "8", "(", "9", ")", "0")

// shortestRun is how many neighbours make a run.
const shortestRun = 3

// isSequence reports whether most of password is runs of neighbouring or equal
// characters, one short piece again and again, or two runs interleaved
// (1q2w3e4r).
func isSequence(password string) bool {
	text := []rune(unshifted.Replace(fold(password)))
	if len(text) < shortestRun {
		return false
	}
	if mostly(inRuns(text), len(text)) || repeats(text, 4) {
		return true
	}
	var even, odd []rune
	for i, r := range text {
		if i%2 == 0 {
			even = append(even, r)
		} else {
			odd = append(odd, r)
		}
	}
	return mostly(inRuns(even)+inRuns(odd), len(text))
}

func mostly(part, whole int) bool { return 2*part > whole }

// inRuns counts the characters that belong to a run.
func inRuns(text []rune) int {
	covered := 0
	for i := 0; i < len(text); {
		n := longestRun(text[i:])
		if n >= shortestRun {
			covered += n
			i += n
		} else {
			i++
		}
	}
	return covered
}

// longestRun is the length of the longest run at the beginning of text.
func longestRun(text []rune) int {
	best := 1
	for best < len(text) && text[best] == text[0] {
		best++
	}
	for _, order := range runs {
		at := strings.IndexRune(order, text[0])
		if at < 0 {
			continue
		}
		for _, step := range []int{1, -1} {
			n := 1
			for p := at + step; n < len(text) && p >= 0 && p < len(order) && rune(order[p]) == text[n]; p += step {
				n++
			}
			best = max(best, n)
		}
	}
	return best
}

// repeats reports whether text is one piece of at most longest characters over
// and over.
func repeats(text []rune, longest int) bool {
	for period := 1; period <= longest && 2*period <= len(text); period++ {
		same := true
		for i := period; i < len(text) && same; i++ {
			same = text[i] == text[i-period]
		}
		if same {
			return true
		}
	}
	return false
}
