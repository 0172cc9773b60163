// Package policy reads a realm's policy file and says what a case still needs,
// whether it has it, how long it waits, and when a person must look.
//
// A policy is data: ways as lists of channels, all of which are needed;
// conditions in CEL over documented facts; every number with its source in a
// comment. Loading is strict, because a key that is misspelt is a door left
// open. The struct fields below are the manual of the file: their comments
// become the descriptions of its JSON Schema, and their tags say the default
// (for a key that is left out), the least and most that loads, and the words
// that are known. A key that is there is taken as written, zero included.
//
// Trust: an attacker who can write a policy file owns the realm. The invariants
// (single use, audit, notices to all, attempts counted) are code elsewhere and
// cannot be configured away here.
package policy

import "github.com/wanbi/wanbi/internal/recovery"

// Text is one text in every language the pages speak, keyed zh-CN and en.
// Each is one line of at most 300 characters.
type Text map[string]string

// Policy is one loaded policy file. It does not change after loading and is
// safe for concurrent use.
type Policy struct {
	// Realm names the tenant and how it looks.
	Realm RealmSection `yaml:"realm"`
	// Identifiers that may be typed to start a case, most common first.
	Identifiers []recovery.IdentifierKind `yaml:"identifiers" oneof:"phone,email,username,resident-id,imei"`
	// Channels holds the tunables of the channels that the ways use. After
	// loading it holds every channel of the catalogue, defaults filled in.
	Channels map[string]ChannelSection `yaml:"channels"`
	// Secrets holds the rules of each secret.
	Secrets SecretsSection `yaml:"secrets"`
	// Intents holds what can be recovered and the ways to it.
	Intents map[recovery.Intent]*IntentSection `yaml:"intents"`
	// Lock holds, for each lock reason, what sets it and what clears it.
	Lock LockSection `yaml:"lock"`
	// Hold says how long a proven case waits so that the owner can stop it.
	Hold HoldSection `yaml:"hold"`
	// Limits says how often things may be tried and sent.
	Limits LimitSection `yaml:"limits"`
	// Notify says how long the links in notices work.
	Notify NotifySection `yaml:"notify"`
	// Afterward says what completion does beyond the code's invariants.
	Afterward AfterwardSection `yaml:"afterward"`
	// Help is the human way.
	Help HelpSection `yaml:"help"`
	// Keep is retention.
	Keep KeepSection `yaml:"keep"`

	name      string
	text      []byte
	digest    string
	lines     map[string]int // path → line, for findings
	catalogue map[string]recovery.ChannelInfo
}

// RealmSection names the realm.
type RealmSection struct {
	// ID is the slug used in addresses and keys; it never changes.
	// Lower-case letters, digits and single hyphens, at most 40 characters.
	ID recovery.Realm `yaml:"id"`
	// Name is shown on every page and in every message, in both languages.
	Name Text `yaml:"name"`
	// Accent is the one accent colour, #rrggbb, quoted; at least 4.5:1 on white.
	// Pages darken it or lighten it until it reads on each of their grounds. Default #1f6f54.
	Accent string `yaml:"accent" default:"#1f6f54"`
	// Logo stands before the name in place of Wanbi's mark: a drawing in SVG, as text,
	// at most 8 KiB, with a viewBox that is about square. Shapes, gradients and their
	// colours only: no text, style, script, picture or link. Left out, the mark stands.
	Logo string `yaml:"logo"`
	// Locale is the language of pages and messages when nothing else says one. Default zh-CN.
	Locale string `yaml:"locale" default:"zh-CN" oneof:"zh-CN,en"`
	// SignIn is the address of the host's sign-in page, https unless loopback.
	SignIn string `yaml:"sign-in"`
	// Directory owns the accounts: ours, or the host's behind a webhook. Default built-in.
	Directory string `yaml:"directory" default:"built-in" oneof:"built-in,webhook"`
}

// ChannelSection tunes one channel. A key that is left out takes the default.
type ChannelSection struct {
	// Valid is how long a challenge can be answered. A phone's code: default 5m;
	// an e-mailed code or link and everything else: default 10m. At most 10m
	// for all (NIST SP 800-63B-4 §4.2.1, ASVS 6.5.5).
	Valid Duration `yaml:"valid" least:"1m" most:"10m"`
	// Resend is the wait before the same message may be sent again, shorter than
	// valid. Default 60s. Only for channels that send something.
	Resend Duration `yaml:"resend" default:"60s" least:"10s" most:"10m"`
	// Digits of a code, 6 to 8 (NIST SP 800-63B-4 §4.2.1 asks for 6 at least). Default 6. Only for channels that send something.
	Digits int `yaml:"digits" default:"6" least:"6" most:"8"`
	// WrongPerHour is how many wrong answers an hour are checked. Default 5.
	WrongPerHour int `yaml:"wrong-per-hour" default:"5" least:"1" most:"20"`
	// WrongPerDay is how many wrong answers a day are checked. Default 10. Far
	// below the 100 that NIST §3.2.2 allows in all.
	WrongPerDay int `yaml:"wrong-per-day" default:"10" least:"1" most:"50"`
}

// SecretsSection holds the rules of each kind of secret.
type SecretsSection struct {
	// Password holds the rules for a new password.
	Password PasswordSection `yaml:"password"`
}

// PasswordSection holds the rules for a new password. The profiles are never mixed.
type PasswordSection struct {
	// Profile is nist (length and block list, no composition, no expiry) or
	// gbt22239 (composition and periodic change). Default nist.
	Profile string `yaml:"profile" default:"nist" oneof:"nist,gbt22239"`
	// MinLength in characters. nist: default 15, and 8 at the least where every
	// account has a second factor; gbt22239: default 8. Sources: NIST SP 800-63B-4
	// §3.1.1.2; GB/T 22239 8.1.4.1, which names no number.
	MinLength int `yaml:"min-length" least:"6" most:"64"`
	// MaxLength in characters. Default 64, which is also the least (NIST §3.1.1.2).
	MaxLength int `yaml:"max-length" default:"64" least:"64" most:"1024"`
	// Classes of lower, upper, digit, symbol that are needed; gbt22239 only, where
	// it is 3 when left out. Stays 0 under nist.
	Classes int `yaml:"classes" least:"2" most:"4"`
	// MinScore is the least zxcvbn score, 0 to 4. Default 2.
	MinScore int `yaml:"min-score" default:"2" least:"0" most:"4"`
	// MaxAge is after how long a change is due; gbt22239 only. Left out: never.
	MaxAge Duration `yaml:"max-age" least:"30d" most:"3650d"`
	// AcceptRisk says why a weakness of these rules that `policy check` names stays.
	AcceptRisk string `yaml:"accept-risk"`
}

// IntentSection holds the ways of one intent.
type IntentSection struct {
	// Ways, any one of which is enough. Order is the order on the page.
	Ways []Way `yaml:"ways"`
	// AcceptRisk says why a weakness of the ways taken together, such as that all
	// of them need the same phone, stays.
	AcceptRisk string `yaml:"accept-risk"`
}

// Way is one all-of list of channels.
type Way struct {
	// Name is a slug, unique within the intent.
	Name string `yaml:"name"`
	// Label is shown on the ways page; empty uses the channels' own names.
	Label Text `yaml:"label"`
	// Prove lists the channels, all of which are needed, in the order they are asked.
	Prove []string `yaml:"prove"`
	// When is a CEL condition over Facts; the way is offered only while it holds. Empty: always.
	When string `yaml:"when"`
	// Hold replaces hold.default for this way; left out keeps the default.
	Hold *Duration `yaml:"hold" most:"30d"`
	// Review sends a proven case to a person before the hold.
	Review bool `yaml:"review"`
	// AcceptRisk says why a weakness of this way that `policy check` names stays.
	AcceptRisk string `yaml:"accept-risk"`

	when *condition // compiled When; nil when it is empty
}

// LockSection holds the typed lock reasons.
type LockSection struct {
	// TooManyFailures is set by wrong secrets at sign-in.
	TooManyFailures FailureLock `yaml:"too-many-failures"`
	// Dormant is set when nobody used the account for long.
	Dormant DormantLock `yaml:"dormant"`
	// RiskAlarm is set by the host or by risk signals.
	RiskAlarm ReasonLock `yaml:"risk-alarm"`
	// Violation is set by the host. Only a person lifts it: unlock stays empty.
	Violation ReasonLock `yaml:"violation"`
}

// FailureLock is the graded lockout of sign-in by secret.
type FailureLock struct {
	// After this many wrong secrets sign-in by secret is locked; left out: never here.
	After int `yaml:"after" least:"3" most:"100"`
	// Within is the time over which wrong secrets are counted. Default 1h.
	Within Duration `yaml:"within" default:"1h" least:"1m" most:"30d"`
	// For holds the graded lengths: first lockout, second, and so on; the last repeats. Each at most 1d.
	For []Duration `yaml:"for" least:"1m" most:"1d"`
	// FurtherTriesExtend starts the running lockout anew at each further try.
	FurtherTriesExtend bool `yaml:"further-tries-extend"`
	// Unlock lists the ways of intent unlock that clear it.
	Unlock []string `yaml:"unlock"`
}

// DormantLock locks accounts that nobody used.
type DormantLock struct {
	// After this long without a sign-in the account is locked; left out: only when the host says so.
	After Duration `yaml:"after" least:"30d" most:"3650d"`
	// Warn the contacts this long before.
	Warn Duration `yaml:"warn" least:"1d" most:"365d"`
	// Unlock lists the ways of intent unlock that clear it.
	Unlock []string `yaml:"unlock"`
}

// ReasonLock is a lock that the host sets.
type ReasonLock struct {
	// Unlock lists the ways of intent unlock that clear it; empty: a person only.
	Unlock []string `yaml:"unlock"`
}

// HoldSection says how long a proven case waits. The rules apply in this order:
// the way's hold or the default; not longer than known-device on a known device;
// not shorter than contact-changed; not shorter than under-attack.
type HoldSection struct {
	// Default applies to every way that does not say otherwise. Default 0s.
	Default Duration `yaml:"default" default:"0s" most:"30d"`
	// KnownDevice is the longest hold on a browser that the account trusts; left out: no difference.
	KnownDevice *Duration `yaml:"known-device" most:"30d"`
	// TrustDeviceAfter is how long a recovery must stay undisputed before the browser
	// that completed it becomes known. Default 7d; 0s turns known devices off.
	TrustDeviceAfter *Duration `yaml:"trust-device-after" default:"7d" most:"365d"`
	// ContactChanged lengthens the hold of ways that rely on a contact when one changed lately (T23).
	ContactChanged ContactChangedHold `yaml:"contact-changed"`
	// UnderAttack is the shortest hold while a realm-wide limit is tripped (T6). Default 0s: no difference.
	UnderAttack Duration `yaml:"under-attack" default:"0s" most:"30d"`
	// Expires is how long a ready case waits for its claimant. Default 7d.
	Expires Duration `yaml:"expires" default:"7d" least:"1h" most:"90d"`
}

// ContactChangedHold is the shortest hold after a change of contact, also on a known device.
type ContactChangedHold struct {
	// Within is how long a change counts as recent: up to and not including this long ago.
	Within Duration `yaml:"within" least:"1h" most:"365d"`
	// Hold of ways that prove a contact, meanwhile.
	Hold Duration `yaml:"hold" least:"1m" most:"30d"`
}

// LimitSection says how often. A key that is left out takes the default.
type LimitSection struct {
	// MessagesPerMinute to one destination. Default 1 (T27).
	MessagesPerMinute int `yaml:"messages-per-minute" default:"1" least:"1" most:"5"`
	// MessagesPerHour to one destination. Default 5 (T27).
	MessagesPerHour int `yaml:"messages-per-hour" default:"5" least:"1" most:"20"`
	// MessagesPerDay to one destination. Default 10 (T27).
	MessagesPerDay int `yaml:"messages-per-day" default:"10" least:"1" most:"50"`
	// KnownDeviceReserve is how many guesses and messages an hour a known device
	// keeps for itself; below every wrong-per-hour and messages-per-hour. Default 3.
	KnownDeviceReserve int `yaml:"known-device-reserve" default:"3" least:"0" most:"19"`
	// NetworkPerHour is how many cases and wrong answers an hour one network (/24, /48) may cause. Default 100.
	NetworkPerHour int `yaml:"network-per-hour" default:"100" least:"10" most:"100000"`
	// RealmWrongPerHour trips hold.under-attack; it never refuses anybody. Default 1000.
	RealmWrongPerHour int `yaml:"realm-wrong-per-hour" default:"1000" least:"10" most:"10000000"`
	// OpenCase is how long an untouched open case lives. Default 24h.
	OpenCase Duration `yaml:"open-case" default:"24h" least:"30m" most:"30d"`
}

// NotifySection tunes notices. Whom they go to is not tunable: every contact on file.
type NotifySection struct {
	// Links is how long cancel and disavow links work; longer than every hold. Default 30d.
	Links Duration `yaml:"links" default:"30d" least:"7d" most:"365d"`
}

// AfterwardSection says what completion does beyond the invariants.
type AfterwardSection struct {
	// Review lists what the last page asks the owner to look over. Default phone,email,backup-codes.
	Review []string `yaml:"review" default:"phone,email,backup-codes" oneof:"phone,email,backup-codes"`
}

// HelpSection is the human way, shown on every page.
type HelpSection struct {
	// Phone of the help line, shown as text; quoted. Digits, spaces, hyphens, a leading +.
	Phone string `yaml:"phone"`
	// Hours in words.
	Hours Text `yaml:"hours"`
	// Prepare says what to have at hand.
	Prepare Text `yaml:"prepare"`
	// AcceptRisk says why the realm has no help line.
	AcceptRisk string `yaml:"accept-risk"`
}

// KeepSection is retention.
type KeepSection struct {
	// Cases is how long a closed case's personal data stays, at least as long as
	// the links of notices work. Default 180d (GB/T 22239 asks six months of records).
	Cases Duration `yaml:"cases" default:"180d" least:"7d" most:"3650d"`
}

// Name is the file name it was loaded from.
func (p *Policy) Name() string { return p.name }

// Source is the file's text, as stored by digest.
func (p *Policy) Source() []byte { return p.text }

// Digest is the lower-case hex SHA-256 of Source; a case keeps the digest it began under.
func (p *Policy) Digest() string { return p.digest }

// Channel gives the tunables of a channel, defaults filled in for what it
// reaches. A channel that the catalogue did not have gives the zero value.
func (p *Policy) Channel(name string) ChannelSection { return p.Channels[name] }

// Way gives one way of an intent by name.
func (p *Policy) Way(intent recovery.Intent, name string) (Way, bool) {
	section := p.Intents[intent]
	if section == nil {
		return Way{}, false
	}
	for _, way := range section.Ways {
		if way.Name == name {
			return way, true
		}
	}
	return Way{}, false
}
