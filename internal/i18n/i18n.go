// Package i18n holds every word that a person reads: pages, errors and messages,
// in Chinese and in English, written side by side per key so that neither is a
// translation of the other. It also writes times and spans of time.
//
// The words are data in words/*.yaml; the lint test beside them keeps both
// languages complete and in the house style.
//
// Trust: the words are part of the program. Values put into them are not: they
// come back as plain text, and whoever renders them escapes them.
package i18n

import (
	"embed"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
)

// The locales. Chinese is the default.
const (
	Chinese = "zh-CN"
	English = "en"
)

// Locales lists every locale, the default first.
var Locales = []string{Chinese, English}

// Other gives the other of the two locales: the one for the single line that
// every message carries in the second language.
func Other(locale string) string {
	if locale == English {
		return Chinese
	}
	return English
}

// text is one key in both languages.
type text struct {
	ZH string `yaml:"zh"`
	EN string `yaml:"en"`
}

func (t text) in(locale string) string {
	if locale == English {
		return t.EN
	}
	return t.ZH
}

//go:embed words/*.yaml
var files embed.FS

var words = load()

// load reads the tables and puts shared sentences, written {@key}, in place.
// The files are compiled in, so a mistake in them stops the program at once.
func load() map[string]text {
	table := map[string]text{}
	entries, err := files.ReadDir("words")
	if err != nil {
		panic(err)
	}
	for _, entry := range entries {
		data, err := files.ReadFile(path.Join("words", entry.Name()))
		if err != nil {
			panic(err)
		}
		var part map[string]text
		decoder := yaml.NewDecoder(strings.NewReader(string(data)))
		decoder.KnownFields(true)
		if err := decoder.Decode(&part); err != nil {
			panic(fmt.Sprintf("words/%s: %v", entry.Name(), err))
		}
		for key, both := range part {
			if _, twice := table[key]; twice {
				panic(fmt.Sprintf("words/%s: %s is written twice", entry.Name(), key))
			}
			table[key] = text{strings.TrimRight(both.ZH, "\n"), strings.TrimRight(both.EN, "\n")}
		}
	}
	for key, both := range table {
		table[key] = text{include(table, both.ZH, Chinese), include(table, both.EN, English)}
	}
	return table
}

var shared = regexp.MustCompile(`\{@([a-z0-9.-]+)\}`)

func include(table map[string]text, s, locale string) string {
	return shared.ReplaceAllStringFunc(s, func(mark string) string {
		key := shared.FindStringSubmatch(mark)[1]
		both, ok := table[key]
		if !ok {
			panic("words: no sentence " + key + " to include")
		}
		return both.in(locale)
	})
}

// Has reports whether the key is written.
func Has(key string) bool {
	_, ok := words[key]
	return ok
}

// Keys lists every key in order.
func Keys() []string {
	keys := make([]string, 0, len(words))
	for key := range words {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

var placeholder = regexp.MustCompile(`\{([a-z-]+)\}`)

// Placeholders lists the names that the key's text wants, sorted, each once.
func Placeholders(key string) []string {
	var names []string
	for _, match := range placeholder.FindAllStringSubmatch(words[key].ZH, -1) {
		if !slices.Contains(names, match[1]) {
			names = append(names, match[1])
		}
	}
	slices.Sort(names)
	return names
}

// T gives the key's text in the locale with {name} replaced by args[name]: a
// time.Time as FormatTime writes it, a time.Duration as FormatDuration does,
// anything else as fmt does. Args that the text does not want are ignored. An
// unknown locale reads Chinese.
//
// A missing key or placeholder is a mistake of ours: in tests it panics, in
// production the key stands for its text and nothing for the placeholder.
func T(locale, key string, args map[string]any) string {
	both, ok := words[key]
	if !ok {
		return mistake("no text for "+key, key)
	}
	return placeholder.ReplaceAllStringFunc(both.in(locale), func(mark string) string {
		name := mark[1 : len(mark)-1]
		switch value := args[name].(type) {
		case nil:
			return mistake("no value for {"+name+"} of "+key, "")
		case Both:
			if text := value[locale]; text != "" {
				return text
			}
			return value[Chinese]
		case time.Time:
			return FormatTime(locale, value)
		case time.Duration:
			return FormatDuration(locale, value)
		default:
			return fmt.Sprint(value)
		}
	})
}

// Both is a value that reads differently in each language, such as a name.
type Both map[string]string

func mistake(what, instead string) string {
	if testing.Testing() {
		panic("i18n: " + what)
	}
	return instead
}

// Problem gives the text of an error: T, with {retry} filled from retry, the
// time after which trying again makes sense. The key may come without its error.
// prefix. One that nobody wrote reads as error.internal, so that no person ever
// reads a key.
func Problem(locale, key string, args map[string]any, retry time.Duration) string {
	if !Has(key) && Has("error."+key) {
		key = "error." + key
	}
	if !Has(key) {
		mistake("no text for "+key, "")
		key = "error.internal"
	}
	all := map[string]any{"retry": retry}
	for name, value := range args {
		all[name] = value
	}
	return T(locale, key, all)
}

// Message gives the text of an SMS or mail in the locale, with its one line in
// the other language: the nearest key named other-language, so that
// mail.notice.held.text finds mail.notice.other-language and a subject finds
// none. A last line that starts with @ stays last, because phones look for the
// bound code there.
func Message(locale, key string, args map[string]any) string {
	body := T(locale, key, args)
	if strings.HasSuffix(key, ".subject") {
		return body
	}
	for stem := key; stem != ""; stem = stem[:max(strings.LastIndexByte(stem, '.'), 0)] {
		line := stem + ".other-language"
		if !Has(line) {
			continue
		}
		other := T(Other(locale), line, args)
		if at := strings.LastIndex(body, "\n@"); at >= 0 {
			return body[:at] + "\n" + other + body[at:]
		}
		if strings.HasPrefix(key, "mail.") {
			return body + "\n\n" + other
		}
		return body + "\n" + other
	}
	return body
}

var matcher = language.NewMatcher([]language.Tag{
	language.MustParse(Chinese), language.MustParse(English),
})

// Match picks a locale for an Accept-Language header. Without a header, or with
// one that cannot be read, it is "" and the caller's default applies. Who reads
// neither language gets English.
func Match(acceptLanguage string) string {
	tags, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil || len(tags) == 0 {
		return ""
	}
	if _, index, confidence := matcher.Match(tags...); confidence != language.No {
		return Locales[index]
	}
	return English
}

// List joins items as a sentence does: 手机号、邮箱或用户名; phone, email or username.
func List(locale string, items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	last := len(items) - 1
	if locale == English {
		return strings.Join(items[:last], ", ") + " or " + items[last]
	}
	return strings.Join(items[:last], "、") + "或" + items[last]
}
