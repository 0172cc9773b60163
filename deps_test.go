// Package wanbi_test holds the rules that the whole tree keeps: who may import
// whom, and how files are written. A rule that fails says why it exists.
package wanbi_test

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// The floors, lowest first. A package imports lower floors only.
const (
	words  = iota // nouns and the lifecycle table
	pure          // decisions from values
	edges         // storage, keys, messages, other systems
	heart         // what a case is made of
	doors         // by who acts
	roof          // pages, JSON, telephone over the doors
	house         // one process out of all of it
	guests        // what brings a whole process to life for somebody
	wiring        // settings and commands
)

// beside says, for each floor, why the rooms on it do not import each other.
var beside = map[int]string{
	words:  "there is one room of nouns",
	pure:   "each answers from its own values; what combines two of them is an edge or the heart",
	edges:  "an edge that leans on another cannot be replaced alone",
	heart:  "checks, accounts and cases are put together in one place, casework",
	doors:  "what one actor may do must not leak through another's door",
	roof:   "each face shows the doors in its own way",
	house:  "there is one house",
	guests: "each uses the house",
	wiring: "a command is an end",
}

// room is one package with its sub-packages.
type room struct {
	floor int
	says  string            // what it is for, in one sentence
	bans  map[string]string // what it must not import directly: a room, a package, or "net", with the reason
	only  []string          // when set, the only rooms that may import it
}

// Reasons that several rooms share.
const (
	checksOnly  = "whoever checks does not decide, store or send"
	noStorage   = "a decision is a function of values, so that it can be explained and simulated"
	noNet       = "a decision must be the same with the network down"
	noRendering = "whoever decides does not render"
	noDecision  = "whoever stores or delivers does not decide"
	throughDoor = "a face asks a door; one that reads storage shows what the door would have withheld"
	staffBlind  = "staff never set or see a secret, so they cannot reach what sets or checks one"
)

// rooms is the table of architecture: a new package gets its line here first.
var rooms = map[string]room{
	"internal/recovery": {floor: words, says: "nouns, the lifecycle table, kinds of error", bans: map[string]string{
		"net": "a noun knows no network", "database/sql": "a noun knows no storage", "log/slog": "a noun that logs can disclose itself",
	}},

	"internal/identifier": {floor: pure, says: "canonical phones, e-mails, IDs, IMEIs, and their masks", bans: map[string]string{
		"net": "an identifier is judged by its form; asking anybody about it would disclose it",
	}},
	"internal/policy": {floor: pure, says: "strict policy files: what is needed, met, or needs a person", bans: map[string]string{
		"store": noStorage, "channel": "policy is handed the catalogue of channels, so that it can be checked without them", "net": noNet,
	}},
	"internal/risk": {floor: pure, says: "signals to a level, with reasons", bans: map[string]string{"store": noStorage, "net": noNet}},
	"internal/limit": {floor: pure, says: "yes, no or wait", bans: map[string]string{
		"policy": "a limit is given its numbers", "channel": "a limit counts; it does not know what", "web": noRendering,
	}},
	"internal/secret": {floor: pure, says: "passwords, PINs and codes: rules, strength, generation, hashing", bans: map[string]string{
		"store": "a secret in the clear never meets storage", "web": noRendering,
	}},
	"internal/span": {floor: pure, says: "marks of what happens, for traces", bans: map[string]string{
		"net": "a mark is made everywhere; where traces go is another room's business", "log/slog": "a mark is no place for words that were not thought about",
	}},
	"internal/worktime": {floor: pure, says: "working days and opening hours, Chinese holidays as data"},
	"internal/i18n":     {floor: pure, says: "words in zh-CN and en, glossary, lint", bans: map[string]string{"recovery": "words know nothing but words"}},
	"policies":          {floor: pure, says: "the shipped policy files, embedded"},

	"internal/seal": {floor: edges, says: "envelope encryption, blind index, key rotation", bans: map[string]string{
		"store": "keys do not travel with what they seal", "web": noRendering,
	}},
	"internal/store": {floor: edges, says: "SQL for both engines, migrations, transactions", bans: map[string]string{
		"policy": noDecision, "channel": noDecision, "casework": noDecision, "web": noRendering,
	}},
	"internal/audit": {floor: edges, says: "chains, Merkle log, sequencer, checkpoints, receipts", bans: map[string]string{
		"policy": "a record says what happened, not whether it was right", "web": noRendering,
	}},
	"internal/blob": {floor: edges, says: "evidence files: put, open redacted, shred on schedule", bans: map[string]string{"web": noRendering}},
	"internal/jobs": {floor: edges, says: "the outbox: side effects and timers in the caller's transaction", bans: map[string]string{
		"casework": "jobs never decide; who decides hands them their work", "web": noRendering,
	}},
	"internal/replay": {floor: edges, says: "the answer to a request that is sent again", bans: map[string]string{
		"casework": "a kept answer knows no cases; casework says what is kept", "web": noRendering,
	}},
	"internal/verify": {floor: edges, says: "client of the verifier contract, and the simulator", bans: map[string]string{
		"store": checksOnly, "casework": checksOnly,
	}},
	"internal/webhook": {floor: edges, says: "signed HTTP calls to hosts", bans: map[string]string{
		"store": noDecision, "casework": noDecision, "web": noRendering,
	}},
	"internal/directory": {floor: edges, says: "the system that owns the accounts: find, set secret, end sessions", bans: map[string]string{
		"channel": "whoever sets a secret does not check proofs", "web": noRendering,
	}},
	"internal/notify": {floor: edges, says: "delivers messages: SMTP, SMS gateways, push, call", bans: map[string]string{
		"casework": noDecision, "policy": noDecision, "web": noRendering,
	}},

	"internal/channel": {floor: heart, says: "one file per way to prove", bans: map[string]string{
		"store": checksOnly, "policy": checksOnly, "jobs": checksOnly, "notify": checksOnly,
		"directory": checksOnly, "casework": checksOnly, "web": noRendering,
	}},
	"internal/account": {floor: heart, says: "accounts, secrets, locks, devices, contacts; the built-in directory", bans: map[string]string{
		"web": noRendering,
	}},
	"internal/casework": {floor: heart, says: "moves a case: guarded update, audit entry and jobs in one transaction", bans: map[string]string{
		"web": noRendering, "api": noRendering,
	}},

	"internal/claimant": {floor: doors, says: "a locked-out person"},
	"internal/guest":    {floor: doors, says: "a holder of a link: trusted contact, cancel, disavow"},
	"internal/owner":    {floor: doors, says: "a signed-in owner"},
	"internal/staff": {floor: doors, says: "reviewers, agents, clerks, witnesses, auditors", bans: map[string]string{
		"directory": staffBlind, "channel": staffBlind,
	}},
	"internal/host":    {floor: doors, says: "host systems: facts, secrets, sign-ins, tokens, portal sessions"},
	"internal/inbound": {floor: doors, says: "signed verdicts, inbound SMS, delivery receipts"},

	"internal/web":     {floor: roof, says: "pages", bans: face},
	"internal/api":     {floor: roof, says: "JSON", bans: face},
	"internal/phone":   {floor: roof, says: "telephone", bans: face},
	"internal/ssf":     {floor: roof, says: "shared signals"},
	"internal/stats":   {floor: roof, says: "figures"},
	"internal/lab":     {floor: roof, says: "policy lab"},
	"internal/metrics": {floor: roof, says: "figures for operators, without a name in them"},
	"internal/tracing": {floor: roof, says: "begins traces at the edges of the process, and sends them"},
	"internal/reseal":  {floor: roof, says: "seals anew what stands under older keys"},
	"internal/config":  {floor: roof, says: "settings", only: []string{"internal/server", "internal/demo", "internal/bench", "cmd/wanbi", "cmd/wanbi-verify"}},

	"internal/server": {floor: house, says: "assembles the rooms into one process", only: []string{"internal/demo", "internal/bench", "cmd/wanbi"}},

	"internal/demo":  {floor: guests, says: "demo data, inbox and clock"},
	"internal/bench": {floor: guests, says: "load driver"},

	"cmd/wanbi":        {floor: wiring, says: "the command"},
	"cmd/wanbi-verify": {floor: wiring, says: "the reference verifier's command"},
}

// face is what pages, JSON and telephone must not reach for.
var face = map[string]string{"store": throughDoor, "blob": throughDoor, "directory": throughDoor}

// sameFloor lists the imports within a floor, each with its reason.
var sameFloor = map[string]string{
	"internal/audit → internal/store":       "an entry is written in the transaction of its change",
	"internal/audit → internal/seal":        "an entry's payload is sealed, and its hash outlives the erasure",
	"internal/jobs → internal/store":        "a side effect is a row in the transaction that asks for it",
	"internal/jobs → internal/seal":         "a job's payload holds addresses and links, and is sealed at rest",
	"internal/replay → internal/store":      "an answer is kept in the transaction of what it answers",
	"internal/replay → internal/seal":       "an answer may hold what only its requester may read",
	"internal/directory → internal/webhook": "the webhook directory is a signed call to the host",
	"internal/casework → internal/account":  "a case ends in a change to an account",
	"internal/casework → internal/channel":  "casework starts and checks challenges; channels know no cases",
}

const module = "github.com/wanbi/wanbi"

// dialling are the packages that the ban "net" means: they open connections.
// net/mail, net/netip and net/url only read text.
var dialling = []string{"net", "net/http", "net/rpc", "net/smtp", "net/textproto", "crypto/tls"}

func TestImportsGoDownTheFloors(t *testing.T) {
	imports := map[string][]string{}
	for _, p := range readTree(t).packages {
		for _, file := range p.files {
			for _, spec := range file.Imports {
				imports[p.dir] = append(imports[p.dir], strings.Trim(spec.Path.Value, `"`))
			}
		}
		if imports[p.dir] == nil {
			imports[p.dir] = []string{}
		}
	}
	for _, wrong := range violations(imports) {
		t.Error(wrong)
	}
}

// violations checks the direct imports of each package, keyed by its folder.
func violations(imports map[string][]string) []string {
	var found []string
	for _, from := range slices.Sorted(maps.Keys(imports)) {
		if testOnly(from) {
			continue
		}
		if roomOf(from) == "" {
			found = append(found, from+" is not in the table: give it a floor, a sentence and its bans in deps_test.go")
			continue
		}
		seen := slices.Sorted(slices.Values(imports[from]))
		for _, to := range slices.Compact(seen) {
			if why := forbidden(from, to); why != "" {
				found = append(found, fmt.Sprintf("%s imports %s: %s", from, to, why))
			}
		}
	}
	return found
}

// forbidden says why the package in folder from must not import to, or nothing.
func forbidden(from, to string) string {
	here := roomOf(from)
	for what, why := range rooms[here].bans {
		if to == what || to == module+"/internal/"+what || strings.HasPrefix(to, module+"/internal/"+what+"/") ||
			what == "net" && slices.Contains(dialling, to) {
			return why
		}
	}
	inside, ours := strings.CutPrefix(to, module+"/")
	if !ours {
		if rooms[here].floor == words && strings.Contains(strings.Split(to, "/")[0], ".") {
			return "the nouns depend on the standard library only"
		}
		return ""
	}
	there := roomOf(inside)
	switch {
	case testOnly(inside):
		return "it exists for tests"
	case there == "", there == here:
		return "" // the table's own complaint, or one room
	case rooms[there].only != nil && !slices.Contains(rooms[there].only, here):
		return "only " + strings.Join(rooms[there].only, ", ") + " may"
	case rooms[there].floor > rooms[here].floor:
		return fmt.Sprintf("a package imports lower floors only, and %s is on floor %d above %d", there, rooms[there].floor, rooms[here].floor)
	case rooms[there].floor == rooms[here].floor && sameFloor[here+" → "+there] == "":
		return "both are on floor " + fmt.Sprint(rooms[here].floor) + ": " + beside[rooms[here].floor]
	}
	return ""
}

// roomOf is the room that a folder belongs to: its own, or its parent's.
func roomOf(dir string) string {
	for ; dir != "." && dir != "/"; dir = path.Dir(dir) {
		if _, ok := rooms[dir]; ok {
			return dir
		}
	}
	return ""
}

// testOnly reports whether a package is there for tests: the testkit, and
// stand-ins that live beside what they stand in for, such as notify/smtptest.
func testOnly(dir string) bool {
	return dir == "internal/testkit" || strings.HasPrefix(dir, "internal/testkit/") || strings.HasSuffix(dir, "test")
}

func TestTheTableOfFloorsIsWellFormed(t *testing.T) {
	for name, r := range rooms {
		if r.says == "" {
			t.Errorf("%s has no sentence", name)
		}
		for what, why := range r.bans {
			if strings.TrimSpace(why) == "" {
				t.Errorf("%s must not import %s, but nobody says why", name, what)
			}
		}
		for _, importer := range r.only {
			if _, ok := rooms[importer]; !ok {
				t.Errorf("%s may be imported by %s, which is no room", name, importer)
			}
		}
	}
	for edge, why := range sameFloor {
		from, to, _ := strings.Cut(edge, " → ")
		if why == "" || rooms[from].says == "" || rooms[to].says == "" || rooms[from].floor != rooms[to].floor {
			t.Errorf("%q is no import within a floor, with a reason", edge)
		}
	}
}

func TestWrongImportsAreFound(t *testing.T) {
	ours := func(name string) string { return module + "/internal/" + name }
	for name, c := range map[string]struct{ from, to, want string }{
		"down":                   {"internal/casework", ours("store"), ""},
		"within a room":          {"internal/store", ours("store/db"), ""},
		"a listed neighbour":     {"internal/audit", ours("store/db"), ""},
		"an unlisted neighbour":  {"internal/store", ours("audit"), "an edge that leans on another cannot be replaced alone"},
		"up":                     {"internal/limit", ours("casework"), "lower floors only"},
		"a ban with its reason":  {"internal/channel", ours("store/db"), checksOnly},
		"staff and secrets":      {"internal/staff", ours("directory"), staffBlind},
		"another door":           {"internal/guest", ours("claimant"), "another's door"},
		"pages and storage":      {"internal/web/layout", ours("store"), throughDoor},
		"a noun and a library":   {"internal/recovery", "golang.org/x/mod/modfile", "standard library only"},
		"a noun and std":         {"internal/recovery", "time", ""},
		"a dialling package":     {"internal/identifier", "net/http", "asking anybody"},
		"a reading package":      {"internal/identifier", "net/mail", ""},
		"a testkit in the house": {"internal/server", ours("testkit/clock"), "it exists for tests"},
		"a stand-in in a room":   {"internal/notify", ours("notify/smtptest"), "it exists for tests"},
		"a stand-in's freedom":   {"internal/notify/smtptest", ours("casework"), ""},
		"settings in a room":     {"internal/web", ours("config"), "only internal/server"},
		"a room without a floor": {"internal/misplaced", "time", "give it a floor"},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(violations(map[string][]string{c.from: {c.to}}), "\n")
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}
