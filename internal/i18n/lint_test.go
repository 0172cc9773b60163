package i18n

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The fraud line is the same everywhere, word for word.
const fraudLine = "找回账号不收费。工作人员不会向你要验证码、银行卡密码，也不会让你转账。"

func TestFraudLineIsWordForWord(t *testing.T) {
	if got := T(Chinese, "fraud.line", nil); got != fraudLine {
		t.Errorf("fraud.line = %q, want %q", got, fraudLine)
	}
}

// rule is one habit of the house. Each returns what is wrong, or nothing.
type rule struct {
	name  string
	check func(key, zh, en string) string
}

var rules = []rule{
	{"both languages are written", func(_, zh, en string) string {
		if strings.TrimSpace(zh) == "" || strings.TrimSpace(en) == "" {
			return "one is empty"
		}
		return ""
	}},
	{"both languages want the same placeholders", func(_, zh, en string) string {
		if a, b := names(zh), names(en); !slices.Equal(a, b) {
			return "zh wants " + strings.Join(a, " ") + ", en " + strings.Join(b, " ")
		}
		return ""
	}},
	{"no stray braces", func(_, zh, en string) string {
		return regexp.MustCompile(`[{}]`).FindString(placeholder.ReplaceAllString(zh+en, ""))
	}},
	{"Chinese punctuation is full-width", func(_, zh, _ string) string {
		return regexp.MustCompile(`\p{Han}[,;:!?()]|[,;:!?()]\p{Han}|\p{Han}\.|\p{Han}\s*"`).FindString(zh)
	}},
	{"English punctuation is half-width", func(_, _, en string) string {
		return regexp.MustCompile(`[，。；：！？（）、【】「」]`).FindString(en)
	}},
	{"English has no Chinese in it", func(key, _, en string) string {
		return regexp.MustCompile(`\p{Han}`).FindString(en)
	}},
	{"Chinese and digits are a space apart", func(_, zh, _ string) string {
		return regexp.MustCompile(`\p{Han}[0-9A-Za-z]|[0-9A-Za-z]\p{Han}`).FindString(zh)
	}},
	{"the glossary: 账号 and 你", func(_, zh, _ string) string {
		return regexp.MustCompile(`帐|账户|您|用户(?:[^名]|$)|密保|找回单|工单`).FindString(zh)
	}},
	{"the glossary in English", func(_, _, en string) string {
		return regexp.MustCompile(`(?i)\b(users?|tickets?|flows?|e-mails?|log ?in|passcode)\b`).FindString(en)
	}},
	{"words we do not use in Chinese", func(_, zh, _ string) string {
		zh = strings.NewReplacer("申请", "", "邀请", "").Replace(zh)
		return regexp.MustCompile(`请|抱歉|非法|无效|对不起|尊敬`).FindString(zh)
	}},
	{"words we do not use in English", func(_, _, en string) string {
		return regexp.MustCompile(`(?i)\b(please|sorry|invalid|oops|illegal)\b|!`).FindString(en)
	}},
	{"buttons say their effect", func(key, zh, en string) string {
		if !strings.HasPrefix(key, "action.") {
			return ""
		}
		return regexp.MustCompile(`^(确定|确认|提交|OK|Submit|Confirm)$`).FindString(zh) +
			regexp.MustCompile(`^(OK|Submit|Confirm)$`).FindString(en)
	}},
	{"no double or outer spaces", func(_, zh, en string) string {
		for _, s := range []string{zh, en} {
			if strings.TrimSpace(s) != s || strings.Contains(s, "  ") {
				return "spaces in " + s
			}
		}
		return ""
	}},
	{"an error says what to do", func(key, zh, en string) string {
		if !strings.HasPrefix(key, "error.") && !strings.HasPrefix(key, "secret.") {
			return ""
		}
		if !strings.ContainsAny(zh, "，；") || !strings.ContainsAny(en, ".,:") {
			return "only one half"
		}
		return ""
	}},
	{"errors end without a full stop", func(key, zh, en string) string {
		if strings.HasPrefix(key, "error.") && (strings.HasSuffix(zh, "。") || strings.HasSuffix(en, ".")) {
			return "full stop"
		}
		return ""
	}},
}

func TestWordsKeepTheHouseStyle(t *testing.T) {
	for key, both := range words {
		for _, r := range rules {
			if wrong := r.check(key, both.ZH, both.EN); wrong != "" {
				t.Errorf("%s: %s: %q", r.name, key, wrong)
			}
		}
	}
}

func names(s string) []string {
	var out []string
	for _, m := range placeholder.FindAllStringSubmatch(s, -1) {
		if !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	slices.Sort(out)
	return out
}

// Each rule must be able to fail.
func TestRulesCatchWhatTheyAreFor(t *testing.T) {
	bad := map[string][3]string{
		"both languages are written":                {"page.x", "有", ""},
		"both languages want the same placeholders": {"page.x", "{a}", "{b}"},
		"no stray braces":                           {"page.x", "{a", "a"},
		"Chinese punctuation is full-width":         {"page.x", "你好,世界", "Hello"},
		"English punctuation is half-width":         {"page.x", "好", "Hello。"},
		"English has no Chinese in it":              {"page.x", "好", "Hello 好"},
		"Chinese and digits are a space apart":      {"page.x", "输入6位", "six"},
		"the glossary: 账号 and 你":                    {"page.x", "你的账户", "account"},
		"the glossary in English":                   {"page.x", "好", "The user"},
		"words we do not use in Chinese":            {"page.x", "请输入", "Enter"},
		"words we do not use in English":            {"page.x", "输入", "Please enter"},
		"buttons say their effect":                  {"action.x", "确定", "Go on"},
		"no double or outer spaces":                 {"page.x", "好 ", "Good"},
		"an error says what to do":                  {"error.x", "不对", "Wrong"},
		"errors end without a full stop":            {"error.x", "不对，重试。", "Wrong, try again."},
	}
	for _, r := range rules {
		sample, ok := bad[r.name]
		if !ok {
			t.Errorf("rule %q has no sample that breaks it", r.name)
			continue
		}
		if r.check(sample[0], sample[1], sample[2]) == "" {
			t.Errorf("rule %q lets %q / %q pass", r.name, sample[1], sample[2])
		}
		if r.check("page.x", "申请找回账号", "Get back in") != "" {
			t.Errorf("rule %q refuses good words", r.name)
		}
	}
}

// Keys that other rooms name in their errors and messages.
func TestNeededKeysExist(t *testing.T) {
	need := strings.Fields(`
		error.identifier.empty error.identifier.phone error.identifier.email error.identifier.username
		error.identifier.resident-id error.identifier.imei error.identifier.unclear
		error.code.wrong error.code.expired error.code.form error.answer.wrong error.answer.preparing
		error.limited error.unavailable error.internal
		error.case.moved error.case.expired error.case.unknown error.case.closed error.case.held
		error.link.unknown error.link.expired error.link.used
		secret.too-short secret.too-long secret.classes secret.common secret.personal secret.sequence
		secret.weak secret.same
		error.intent.unknown error.realm.unknown error.way.unknown error.way.closed error.choice.unknown
		error.locked.person error.idempotency.mismatch error.idempotency.busy error.request.malformed
		error.csrf error.forbidden error.not-found error.credentials
		error.delivery.unavailable error.delivery.refused
		sms.code mail.dormant.warning.subject mail.dormant.warning.text`)
	for _, kind := range []string{"started", "held", "changed", "completed", "cancelled", "disavowed"} {
		need = append(need, "sms.notice."+kind, "mail.notice."+kind+".subject", "mail.notice."+kind+".text")
	}
	for _, kind := range []string{"code", "link", "unknown"} {
		need = append(need, "mail."+kind+".subject", "mail."+kind+".text")
	}
	for _, channel := range []string{"sms-code", "email-code", "email-link", "backup-code", "real-name"} {
		need = append(need, "channel."+channel+".name", "channel."+channel+".need", "channel."+channel+".time")
	}
	for _, key := range need {
		if !Has(key) {
			t.Errorf("no text for %s", key)
		}
	}
}

// What a message's one line in the other language wants, the message itself wants too,
// so that whoever fills the message has filled the line.
func TestOtherLanguageLinesNeedNothingMore(t *testing.T) {
	seen := 0
	for _, key := range Keys() {
		if !strings.HasPrefix(key, "sms.") && !strings.HasPrefix(key, "mail.") ||
			strings.HasSuffix(key, ".subject") || strings.HasSuffix(key, ".other-language") {
			continue
		}
		args := map[string]any{}
		for _, name := range Placeholders(key) {
			args[name] = "‹" + name + "›"
		}
		for _, locale := range Locales {
			text := Message(locale, key, args)
			if text == T(locale, key, args) {
				t.Errorf("%s in %s has no line in the other language", key, locale)
			}
		}
		seen++
	}
	if seen < 16 {
		t.Errorf("only %d messages were looked at", seen)
	}
}
