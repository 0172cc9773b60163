// Package guest is the door of whoever holds a link that we sent: cancel a case
// that is not theirs, or disavow a finished one.
//
// Trust: the holder of a link read one of the owner's messages and nothing more
// is known of them, so a guest can stop and freeze, never obtain.
package guest

import (
	"context"
	"time"

	"github.com/wanbi/wanbi/internal/casework"
	"github.com/wanbi/wanbi/internal/recovery"
)

// Door lets a guest act. Safe for concurrent use.
type Door struct {
	Cases *casework.Service
}

// LinkView is what the page behind a notice's link shows.
type LinkView struct {
	Realm    recovery.Realm
	Ref      recovery.CaseRef
	Intent   recovery.Intent
	State    recovery.State // as it reads now
	OpenedAt time.Time
	// Act is what the button does now: "cancel" stops a running case, "disavow"
	// freezes the account after a completed one, "" when nothing is left to do.
	Act string
}

// Show tells what the link would do now. It changes nothing (T4).
func (d *Door) Show(ctx context.Context, token string) (LinkView, error) {
	_, view, err := d.open(ctx, token)
	return view, err
}

func (d *Door) open(ctx context.Context, token string) (casework.StopLink, LinkView, error) {
	link, row, err := d.Cases.OpenStopLink(ctx, token)
	if err != nil {
		return link, LinkView{}, err
	}
	v := LinkView{
		Realm: row.Realm, Ref: row.Ref, Intent: row.Intent, State: row.StateAt(d.Cases.Now()), OpenedAt: row.OpenedAt,
	}
	switch v.State {
	case recovery.StateOpen, recovery.StateInReview, recovery.StateHeld:
		v.Act = "cancel"
	case recovery.StateApplying, recovery.StateCompleted:
		frozen, err := d.Cases.Disavowed(ctx, link)
		if err != nil {
			return link, v, err
		}
		if !frozen {
			v.Act = "disavow"
		}
	}
	return link, v, nil
}

// Act does what the button says: cancel before applying, disavow after completion.
// A second press is answered with the state as it is.
func (d *Door) Act(ctx context.Context, token string) (LinkView, error) {
	link, _, err := d.open(ctx, token)
	if err != nil {
		return LinkView{}, err
	}
	if err := d.Cases.Disown(ctx, link); err != nil && !recovery.IsKind(err, recovery.KindGone) {
		return LinkView{}, err
	}
	return d.Show(ctx, token)
}
