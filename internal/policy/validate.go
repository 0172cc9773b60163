package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/wanbi/wanbi/internal/recovery"
)

// validation refuses what is written well and cannot work, and fills in the
// defaults that depend on something else in the file.
type validation struct {
	*reader
	p *Policy
}

func (v *validation) fail(path, format string, args ...any) {
	v.problem(v.p.line(path), path, format, args...)
}

// firstWritten is the first of two keys that the file has, so that a message
// points at something that is there.
func (v *validation) firstWritten(a, b string) string {
	if v.p.written(a) {
		return a
	}
	return b
}

func (v *validation) all() {
	v.realm()
	v.identifiers()
	v.channels()
	v.password()
	v.intents()
	v.unlocks()
	v.failureLock()
	v.dormantLock()
	v.holds()
	v.limits()
	v.help()
	if v.p.Keep.Cases < v.p.Notify.Links {
		v.fail("keep.cases", "%s is shorter than notify.links %s: a disavowal needs its case", v.p.Keep.Cases, v.p.Notify.Links)
	}
	v.once("afterward.review", v.p.Afterward.Review)
}

// reserved are first segments of addresses, or segments after /v1/, that are not
// a realm's.
var reserved = []string{"assets", "audit", "cases", "demo", "docs", "healthz", "inbound", "links", "metrics", "readyz", "staff", "v1"}

var slugForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func (v *validation) slug(path, what, word string) {
	if word == "" {
		v.fail(path, "the %s has no name", what)
	} else if len(word) > 40 || !slugForm.MatchString(word) {
		v.fail(path, "%s %q is no slug: lower-case letters, digits and single hyphens, at most 40", what, word)
	}
}

// once refuses a word that a list has twice.
func (v *validation) once(path string, list []string) {
	for i, word := range list {
		if slices.Contains(list[:i], word) {
			v.fail(fmt.Sprintf("%s.%d", path, i), "%q twice", word)
		}
	}
}

// text holds a Text against the languages and against what could break a message's header.
func (v *validation) text(path string, text Text, needed bool) {
	if len(text) == 0 && !needed {
		return
	}
	for _, locale := range slices.Sorted(maps.Keys(text)) {
		at, value := join(path, locale), text[locale]
		switch {
		case locale != "zh-CN" && locale != "en":
			v.fail(at, "unknown language %q: zh-CN and en%s", locale, didYouMean(locale, []string{"zh-CN", "en"}))
		case utf8.RuneCountInString(value) > 300:
			v.fail(at, "longer than 300 characters")
		case strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsGraphic(r) }):
			v.fail(at, "holds a line break or another character that cannot be seen")
		}
	}
	for _, locale := range []string{"zh-CN", "en"} {
		if strings.TrimSpace(text[locale]) == "" {
			v.fail(path, "no text in %s", locale)
		}
	}
}

// acceptance wants a reason, not a mark.
func (v *validation) acceptance(path, reason string) {
	if v.p.written(path) && utf8.RuneCountInString(strings.TrimSpace(reason)) < 8 {
		v.fail(path, "say why, in a sentence")
	}
}

func (v *validation) realm() {
	realm := v.p.Realm
	v.slug("realm.id", "realm", string(realm.ID))
	if slices.Contains(reserved, string(realm.ID)) {
		v.fail("realm.id", "realm %q is the name of an address that the server needs itself: %s", realm.ID, strings.Join(reserved, ", "))
	}
	v.text("realm.name", realm.Name, true)
	if !colourForm.MatchString(realm.Accent) {
		v.fail("realm.accent", "%q is no colour: write #rrggbb", realm.Accent)
	} else if ratio := contrast(realm.Accent, "#ffffff"); ratio < legible {
		v.fail("realm.accent", "contrast on white is %.2f:1, and the least is %.1f:1 (WCAG 1.4.3): take a darker one", ratio, legible)
	}
	if v.p.written("realm.logo") {
		if why := wrongLogo(realm.Logo); why != "" {
			v.fail("realm.logo", "%s", why)
		}
	}
	v.signIn(realm.SignIn)
}

func (v *validation) signIn(address string) {
	u, err := url.Parse(address)
	switch {
	case err == nil && u.User != nil:
		v.fail("realm.sign-in", "holds a name or password, which every visitor would see")
	case err != nil || u.Host == "":
		v.fail("realm.sign-in", "%q is no address: write https://host/path", address)
	case u.Scheme == "http" && loopback(u.Hostname()), u.Scheme == "https":
	default:
		v.fail("realm.sign-in", "%q is not https, and only loopback may do without", address)
	}
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (v *validation) identifiers() {
	if len(v.p.Identifiers) == 0 {
		v.fail("identifiers", "none: nobody could start")
	}
	v.once("identifiers", words(v.p.Identifiers))
}

func (v *validation) channels() {
	known := slices.Sorted(maps.Keys(v.p.catalogue))
	for _, name := range slices.Sorted(maps.Keys(v.p.Channels)) {
		if _, ok := v.p.catalogue[name]; !ok {
			v.fail(join("channels", name), "unknown channel %q%s", name, didYouMean(name, known))
		}
	}
	filled := make(map[string]ChannelSection, len(known))
	for _, name := range known {
		section, ok := v.p.Channels[name]
		if !ok {
			section = defaultChannel()
		}
		filled[name] = v.channel(name, section)
	}
	v.p.Channels = filled
}

func (v *validation) channel(name string, c ChannelSection) ChannelSection {
	at := join("channels", name)
	info := v.p.catalogue[name]
	if !v.p.written(join(at, "valid")) {
		c.Valid = Duration(10 * time.Minute)
		if info.Contact == recovery.ContactPhone {
			c.Valid = Duration(5 * time.Minute)
		}
	}
	if c.WrongPerDay < c.WrongPerHour {
		v.fail(join(at, "wrong-per-day"), "%d is below wrong-per-hour %d, which would never be reached", c.WrongPerDay, c.WrongPerHour)
	}
	if info.Contact == "" {
		for _, key := range []string{"resend", "digits"} {
			if v.p.written(join(at, key)) {
				v.fail(join(at, key), "%s sends nothing", name)
			}
		}
		c.Resend, c.Digits = 0, 0
		return c
	}
	if c.Resend >= c.Valid {
		v.fail(join(at, "resend"), "%s is not shorter than valid %s: the code would be dead before the next one", c.Resend, c.Valid)
	}
	return c
}

func (v *validation) password() {
	rules := &v.p.Secrets.Password
	at := "secrets.password."
	v.acceptance(at+"accept-risk", rules.AcceptRisk)
	least := 6
	switch rules.Profile {
	case "nist":
		for _, key := range []string{"classes", "max-age"} {
			if v.p.written(at + key) {
				v.fail(at+key, "belongs to profile gbt22239, and profiles are never mixed (NIST SP 800-63B-4 §3.1.1.2 forbids it)")
			}
		}
		if rules.MinLength == 0 {
			rules.MinLength = 15
		}
		least = 8
	case "gbt22239":
		if rules.MinLength == 0 {
			rules.MinLength = 8
		}
		if rules.Classes == 0 {
			rules.Classes = 3
		}
	}
	if rules.MinLength < least {
		v.fail(at+"min-length", "%d is below %d, the least of profile %s", rules.MinLength, least, rules.Profile)
	}
}

// maxWays bounds a page that a worried person reads. Ours.
const maxWays = 20

func (v *validation) intents() {
	if len(v.p.Intents) == 0 {
		v.fail("intents", "none: there is nothing to recover")
	}
	for _, intent := range slices.Sorted(maps.Keys(v.p.Intents)) {
		at := join("intents", string(intent))
		if !slices.Contains(recovery.Intents, intent) {
			v.fail(at, "unknown intent %q%s", intent, didYouMean(string(intent), words(recovery.Intents)))
		}
		section := v.p.Intents[intent]
		if len(section.Ways) == 0 {
			v.fail(at, "no ways: nobody could finish")
		}
		if len(section.Ways) > maxWays {
			v.fail(at, "%d ways, and nobody reads more than %d", len(section.Ways), maxWays)
			continue
		}
		v.acceptance(join(at, "accept-risk"), section.AcceptRisk)
		names := map[string]bool{}
		for i := range section.Ways {
			wayAt := fmt.Sprintf("%s.ways.%d", at, i)
			v.way(wayAt, &section.Ways[i])
			if name := section.Ways[i].Name; names[name] {
				v.fail(join(wayAt, "name"), "way %q twice in this intent", name)
			}
			names[section.Ways[i].Name] = true
		}
	}
}

func (v *validation) way(at string, way *Way) {
	v.slug(join(at, "name"), "way", way.Name)
	v.text(join(at, "label"), way.Label, false)
	v.acceptance(join(at, "accept-risk"), way.AcceptRisk)
	v.once(join(at, "prove"), way.Prove)
	if len(way.Prove) == 0 {
		v.fail(at, "way %q proves nothing: list its channels under prove", way.Name)
	}
	helpers := 0
	for i, name := range way.Prove {
		info, ok := v.p.catalogue[name]
		if !ok {
			v.fail(fmt.Sprintf("%s.prove.%d", at, i), "unknown channel %q%s", name, didYouMean(name, slices.Collect(maps.Keys(v.p.catalogue))))
		}
		if info.Helper {
			helpers++
		}
	}
	if helpers > 0 && helpers == len(way.Prove) {
		v.fail(join(at, "prove"), "only %s, which never proves anything alone", strings.Join(way.Prove, " and "))
	}
	if v.p.written(join(at, "when")) {
		compiled, messages := compile(way.When)
		for _, message := range messages {
			v.fail(join(at, "when"), "%s", message)
		}
		way.when = compiled
	}
}

// unlocks holds lock.*.unlock and the ways of intent unlock against each other.
func (v *validation) unlocks() {
	var ways []string
	if section := v.p.Intents[recovery.IntentUnlock]; section != nil {
		for _, way := range section.Ways {
			ways = append(ways, way.Name)
		}
	}
	used := map[string]bool{}
	for _, reason := range recovery.LockReasons {
		at := "lock." + string(reason) + ".unlock"
		list := v.p.unlockWays(reason)
		v.once(at, list)
		for i, name := range list {
			used[name] = true
			if !slices.Contains(ways, name) {
				v.fail(fmt.Sprintf("%s.%d", at, i), "intent unlock has no way %q%s", name, didYouMean(name, ways))
			}
		}
	}
	if len(v.p.Lock.Violation.Unlock) > 0 {
		v.fail("lock.violation.unlock", "only a person lifts a violation: leave it empty")
	}
	for i, name := range ways {
		if !used[name] {
			v.fail(fmt.Sprintf("intents.unlock.ways.%d", i), "no lock.*.unlock names this way, so it would open nothing")
		}
	}
}

func (v *validation) failureLock() {
	lock, at := v.p.Lock.TooManyFailures, "lock.too-many-failures."
	if lock.After == 0 {
		for _, key := range []string{"within", "for", "further-tries-extend"} {
			if v.p.written(at + key) {
				v.fail(at+key, "means nothing without after")
			}
		}
		return
	}
	if len(lock.For) == 0 {
		v.fail(at+"after", "for how long? write for: [30m, 2h]")
	}
	if !slices.IsSorted(lock.For) {
		v.fail(at+"for", "each lockout is at least as long as the one before")
	}
}

func (v *validation) dormantLock() {
	lock := v.p.Lock.Dormant
	if lock.Warn > 0 && lock.Warn >= lock.After {
		v.fail("lock.dormant.warn", "%s is not shorter than after %s", lock.Warn, lock.After)
	}
}

func (v *validation) holds() {
	changed := v.p.Hold.ContactChanged
	if (changed.Within == 0) != (changed.Hold == 0) {
		v.fail("hold.contact-changed", "needs both within and hold")
	}
	longest, where := v.p.longestHold()
	if longest >= v.p.Notify.Links.Std() {
		v.fail(where, "%s is not shorter than notify.links %s: the owner could not stop it to the end", Duration(longest), v.p.Notify.Links)
	}
	if *v.p.Hold.TrustDeviceAfter == 0 && v.p.Hold.KnownDevice != nil {
		v.fail("hold.known-device", "no device is ever known while trust-device-after is 0s")
	}
}

// longestHold is the longest that anybody can be made to wait, and the key that says so.
func (p *Policy) longestHold() (longest time.Duration, where string) {
	consider := func(hold Duration, path string) {
		if where == "" || hold.Std() > longest {
			longest, where = hold.Std(), path
		}
	}
	consider(p.Hold.Default, "hold.default")
	consider(p.Hold.ContactChanged.Hold, "hold.contact-changed.hold")
	consider(p.Hold.UnderAttack, "hold.under-attack")
	for _, intent := range recovery.Intents {
		if p.Intents[intent] == nil {
			continue
		}
		for i, way := range p.Intents[intent].Ways {
			if way.Hold != nil {
				consider(*way.Hold, fmt.Sprintf("intents.%s.ways.%d.hold", intent, i))
			}
		}
	}
	return longest, where
}

func (v *validation) limits() {
	l := v.p.Limits
	if l.MessagesPerMinute > l.MessagesPerHour || l.MessagesPerHour > l.MessagesPerDay {
		v.fail("limits", "messages: %d a minute, %d an hour, %d a day: the shorter time must not allow more", l.MessagesPerMinute, l.MessagesPerHour, l.MessagesPerDay)
	}
	if l.KnownDeviceReserve >= l.MessagesPerHour {
		v.fail(v.firstWritten("limits.known-device-reserve", "limits.messages-per-hour"), "known-device-reserve %d leaves an unknown device none of messages-per-hour %d", l.KnownDeviceReserve, l.MessagesPerHour)
	}
	for _, name := range slices.Sorted(maps.Keys(v.p.Channels)) {
		c := v.p.Channels[name]
		if l.KnownDeviceReserve >= c.WrongPerHour {
			at := v.firstWritten("limits.known-device-reserve", join("channels", name)+".wrong-per-hour")
			v.fail(at, "known-device-reserve %d leaves an unknown device none of wrong-per-hour %d of %s", l.KnownDeviceReserve, c.WrongPerHour, name)
		}
		if c.Resend > 0 && c.Resend.Std()*time.Duration(l.MessagesPerMinute) < time.Minute {
			v.fail(join("channels", name)+".resend", "after %s limits.messages-per-minute %d would refuse", c.Resend, l.MessagesPerMinute)
		}
	}
}

var phoneForm = regexp.MustCompile(`^\+?\d[\d -]{2,24}$`)

func (v *validation) help() {
	h := v.p.Help
	if h.Phone != "" && !phoneForm.MatchString(h.Phone) {
		v.fail("help.phone", "%q is no telephone number", h.Phone)
	}
	v.text("help.hours", h.Hours, false)
	v.text("help.prepare", h.Prepare, false)
	v.acceptance("help.accept-risk", h.AcceptRisk)
}
