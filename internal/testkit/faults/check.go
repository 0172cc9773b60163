package faults

import (
	"fmt"
	"slices"

	"github.com/wanbi/wanbi/internal/bench/rig"
)

// Losses is what the checker found. Each line is one violation with its evidence.
type Losses struct {
	Lines   []string
	Letters int // different messages
	Repeats int // messages that came again, as they were
}

func (l *Losses) lost(format string, args ...any) {
	l.Lines = append(l.Lines, fmt.Sprintf(format, args...))
}

// further orders the states that a recovery of the rig passes.
var further = []string{"open", "held", "applying", "completed"}

// Check holds what is there to what was acknowledged.
func Check(recoveries []*Recovery, f Found) Losses {
	var l Losses
	for _, r := range recoveries {
		l.recovery(r, f)
	}
	for to, letters := range f.Letters {
		l.repeats(to, letters)
	}
	for account, events := range f.Events {
		l.order(account, events)
	}
	if f.Waiting > 0 {
		l.lost("%d jobs and entries still wait after %s", f.Waiting, settleWithin)
	}
	for _, dead := range f.Dead {
		l.lost("a job was given up: %s", dead)
	}
	if f.Audit != "" {
		l.lost("the audit log does not hold: %s", f.Audit)
	}
	slices.Sort(l.Lines)
	return l
}

// recovery checks one.
func (l *Losses) recovery(r *Recovery, f Found) {
	lost := func(format string, args ...any) {
		l.lost("account %d, case %s: %s", r.Account, r.Ref, fmt.Sprintf(format, args...))
	}
	for _, wrong := range r.Wrong {
		lost("%s", wrong)
	}
	if r.Ref == "" {
		return
	}
	c := f.Cases[r.Ref]
	if slices.Index(further, c.State) < slices.Index(further, r.State) {
		lost("state %q was acknowledged, and it is %q", r.State, c.State)
	}
	l.entries(r, c, lost)
	to := rig.Address(r.Account)
	if !r.Known {
		if got := len(distinct(f.Letters[r.identifier()], isCode)); got > 0 {
			lost("%d codes were sent to somebody without an account", got)
		}
		return
	}
	codes := distinct(f.Letters[to], isCode)
	if len(codes) > 0 && r.Overdue {
		lost("a code was sent whose time was over")
	}
	if len(codes) < len(r.Challenges) && !r.Overdue {
		lost("%d challenges were acknowledged, and %d codes were sent", len(r.Challenges), len(codes))
	}
	if len(codes) > len(r.Challenges) && !r.Broken {
		lost("%d codes were sent for %d challenges", len(codes), len(r.Challenges))
	}
	notices := count(r.Answered) + count(r.Completed)
	for _, contact := range []string{to, secondContact(r.Account)} {
		got := len(distinct(f.Letters[contact], func(l rig.Letter) bool { return !isCode(l) }))
		if got < notices || got > notices && !r.Broken {
			lost("%d notices were sent to %s, and not %d", got, contact, notices)
		}
	}
	if r.Completed {
		if s := f.Secrets[r.Account]; s.New != "ok" || s.Old != "wrong" {
			lost("the new secret is %q, and the old one %q", s.New, s.Old)
		}
		for _, kind := range []string{"secret.changed", "sessions.ended"} {
			if got := told(f.Events[rig.HostID(r.Account)], kind); got != 1 {
				lost("the host was told of %d different %s", got, kind)
			}
		}
	}
}

// entries checks the record of one case and its account.
func (l *Losses) entries(r *Recovery, c Case, lost func(string, ...any)) {
	want := map[string]int{
		"case.opened": 1, "challenge.started": len(r.Challenges), "evidence.accepted": count(r.Answered),
		"outcome.taken": count(r.Completed), "host.confirmed": count(r.Completed),
	}
	for event, least := range want {
		if got := c.Entries[event]; got < least || got > least && !r.Broken {
			lost("there are %d entries %s, and not %d", got, event, least)
		}
	}
	if done := c.Entries["code.sent"] + c.Entries["code.withheld"]; done != c.Entries["challenge.started"] {
		lost("%d challenges were started, and %d messages decided", c.Entries["challenge.started"], done)
	}
	for _, event := range []string{"secret.changed", "recovered"} {
		if got := c.Account[event]; got < count(r.Completed) || got > count(r.Completed) && !r.Broken {
			lost("the account has %d entries %s, and not %d", got, event, count(r.Completed))
		}
	}
}

// repeats checks that what came twice is the same message.
func (l *Losses) repeats(to string, letters []rig.Letter) {
	first := map[string]rig.Letter{}
	for _, letter := range letters {
		was, again := first[letter.ID]
		switch {
		case letter.ID == "":
			l.lost("a message to %s has no Message-ID", to)
		case !again:
			first[letter.ID] = letter
			l.Letters++
		case was != letter:
			l.lost("message %s to %s came again as another: %q, and then %q", letter.ID, to, was.Text, letter.Text)
		default:
			l.Repeats++
		}
	}
}

// order checks the events of one account: numbered from 1 without gaps, each
// number one event, and none before its turn.
func (l *Losses) order(account string, events []Event) {
	byNumber := map[int64]Event{}
	high := int64(0)
	for _, e := range events {
		if was, again := byNumber[e.Sequence]; again && was != e {
			l.lost("event %d of %s came as %s, and then as %s", e.Sequence, account, was.ID, e.ID)
		}
		if byNumber[e.Sequence] = e; e.Sequence > high+1 {
			l.lost("event %d of %s came after event %d", e.Sequence, account, high)
		}
		high = max(high, e.Sequence)
	}
}

// told counts the different events of a kind.
func told(events []Event, kind string) int {
	ids := map[string]bool{}
	for _, e := range events {
		if e.Type == kind {
			ids[e.ID] = true
		}
	}
	return len(ids)
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// secondContact is the second contact of the numbered account, which is told of
// everything and sent no codes.
func secondContact(n int) string { return fmt.Sprintf("second%d@mail.example.cn", n) }
