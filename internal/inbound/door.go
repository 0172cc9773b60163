// Package inbound is the door of systems that report to us unasked: for now an
// SMS gateway that says what became of a text.
//
// A report decides nothing. It is counted and logged, so that an operator sees a
// gateway that loses messages; who the message was for is not in it.
//
// Trust: a reporter shows the token that we put into the address it reports to.
// Whoever holds that address can falsify the counts and nothing else.
package inbound

import (
	"context"
	"log/slog"
	"net/url"
	"sync"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
)

// Door takes reports. Safe for concurrent use.
type Door struct {
	Keys *seal.Keyring
	Log  *slog.Logger

	mu     sync.Mutex
	counts map[Fate]int64
}

// Fate is what became of a text, as far as the gateway knows.
type Fate string

// The fates, in Kannel's order: its statuses 1, 2, 4, 8 and 16 ("DLR masks" in
// its user guide).
const (
	FateDelivered    Fate = "delivered"
	FateNotDelivered Fate = "not-delivered"
	FateQueued       Fate = "queued"
	FateAccepted     Fate = "accepted"
	FateRefused      Fate = "refused"
)

var fates = map[string]Fate{"1": FateDelivered, "2": FateNotDelivered, "4": FateQueued, "8": FateAccepted, "16": FateRefused}

const purposeReport = "kannel-report"

// KannelPath is where Kannel reports to.
const KannelPath = "/v1/inbound/kannel"

// DLRURL is the address that a Kannel gateway is told to report to. It carries
// the token; the gateway adds the message's ID and its status. origin is the
// scheme and host that the gateway reaches us at.
func DLRURL(origin string, keys *seal.Keyring) string {
	return origin + KannelPath + "?" + url.Values{"token": {keys.Mac(purposeReport)}}.Encode()
}

// Report is one delivery report. ID is the message's; a long text is reported
// once for each of its parts.
type Report struct {
	Token  string
	ID     string
	Status string // Kannel's number
}

// Kannel takes a delivery report. A wrong token is of kind unknown, a status
// that Kannel does not have is bad input.
func (d *Door) Kannel(ctx context.Context, r Report) error {
	if !d.Keys.MacEqual(r.Token, purposeReport) {
		return recovery.Unknown("error.credentials")
	}
	fate, ok := fates[r.Status]
	if !ok {
		return recovery.BadInput("error.field.form").At("status")
	}
	d.mu.Lock()
	if d.counts == nil {
		d.counts = map[Fate]int64{}
	}
	d.counts[fate]++
	count := d.counts[fate]
	d.mu.Unlock()
	if d.Log != nil {
		d.Log.InfoContext(ctx, "SMS delivery report", "fate", string(fate), "count", count)
	}
	return nil
}

// Counts gives how many reports of each fate came in since the start.
func (d *Door) Counts() map[Fate]int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make(map[Fate]int64, len(d.counts))
	for fate, n := range d.counts {
		out[fate] = n
	}
	return out
}
