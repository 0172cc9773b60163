package recovery

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/lifecycle.md anew")

const lifecyclePath = "../../docs/lifecycle.md"

// turns says of each state what a reader wants to know first.
var turns = map[State]string{
	StateOpen:      "the claimant's: prove something, or stop",
	StateInReview:  "a person's of the staff: look, ask for more, approve or reject. It never runs out",
	StateHeld:      "nobody's: the hold runs, every contact was told, a stronger proof still counts. *Ready* once now ≥ `hold_until`",
	StateApplying:  "the server's: the host is being told. A cancel that comes now is a disavowal",
	StateCompleted: "closed: the outcome was taken",
	StateDenied:    "closed: a person rejected it; an appeal is a new, linked case",
	StateCancelled: "closed: the owner or the claimant stopped it",
	StateExpired:   "closed: its time ran out",
}

func lifecycleDocument() string {
	var b strings.Builder
	b.WriteString(`# The lifecycle of a case

Generated from ` + "`recovery.Lifecycle`" + ` by ` + "`go test ./internal/recovery -run Lifecycle -update`" + `; do not edit.
A move that is not in this table cannot happen: the code has no other, and the
database refuses an audit entry that records one.

## States: whose turn it is

| state | turn | |
|---|---|---|
`)
	for _, s := range States {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s, s.Turn(), turns[s])
	}
	b.WriteString("\n## Moves\n\n| from | event | to | |\n|---|---|---|---|\n")
	for _, m := range Lifecycle {
		fmt.Fprintf(&b, "| `%s` | `%s` | `%s` | %s |\n", m.From, m.Event, m.To, m.Note)
	}
	b.WriteString("\n## The same as a drawing\n\n```mermaid\nstateDiagram-v2\n")
	fmt.Fprintf(&b, "    [*] --> %s: case.opened\n", States[0])
	for _, m := range Lifecycle {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", m.From, m.To, m.Event)
	}
	for _, s := range States {
		if s.Closed() {
			fmt.Fprintf(&b, "    %s --> [*]\n", s)
		}
	}
	b.WriteString("```\n\nA closed case never moves. Appeals and disavowals are new cases, linked to the old one.\n")
	return b.String()
}

func TestLifecycleDocumentIsFresh(t *testing.T) {
	for _, s := range States {
		if turns[s] == "" || s.Turn() == "" {
			t.Errorf("state %s: nobody says whose turn it is", s)
		}
		if (s.Turn() == "closed") != s.Closed() {
			t.Errorf("state %s: turn %q, closed %v", s, s.Turn(), s.Closed())
		}
	}
	want := lifecycleDocument()
	if *update {
		if err := os.WriteFile(lifecyclePath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(lifecyclePath)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/lifecycle.md is stale: run `go test ./internal/recovery -run Lifecycle -update`")
	}
}
