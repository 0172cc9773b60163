package account

import (
	"context"
	"encoding/json"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// PastSignIn is one sign-in that a host saw. Device, Network and Place are the
// host's own words, at most 200 bytes each, and may be empty.
type PastSignIn struct {
	HostID  string
	At      time.Time
	Device  string
	Network string
	Place   string
}

// String gives nothing of where its owner was.
func (PastSignIn) String() string { return "past sign-in" }

// GoString gives nothing of where its owner was.
func (PastSignIn) GoString() string { return "past sign-in" }

// clockSlack is how far a host's clock may run ahead of ours.
const clockSlack = 5 * time.Minute

// maxSignInText bounds each text of a sign-in, in bytes.
const maxSignInText = 200

// RecordSignIns takes what a host saw. A sign-in that is known already changes
// nothing, so a batch may be sent again; the newest one of an account counts for
// dormancy. The result has one place for each record, nil when it is in; the
// error is of the whole.
func (s *Service) RecordSignIns(ctx context.Context, realm recovery.Realm, batch []PastSignIn) ([]*recovery.Error, error) {
	if _, ok := s.Policy(realm); !ok {
		return nil, recovery.NotFound("error.realm.unknown")
	}
	problems := make([]*recovery.Error, len(batch))
	return problems, s.DB.Write(ctx, func(tx *store.Tx) error {
		clear(problems)
		for i, one := range batch {
			err := s.recordSignIn(ctx, tx, realm, one)
			if recovery.IsKind(err, recovery.KindBadInput) || recovery.IsKind(err, recovery.KindNotFound) {
				problems[i] = recovery.AsError(err)
				continue
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// recordSignIn takes one. What is wrong with it is found before anything is written.
func (s *Service) recordSignIn(ctx context.Context, tx *store.Tx, realm recovery.Realm, in PastSignIn) error {
	if in.At.IsZero() || in.At.After(s.Now().Add(clockSlack)) {
		return recovery.BadInput("error.sign-in.at").At("at")
	}
	for _, text := range []struct{ field, value string }{{"device", in.Device}, {"network", in.Network}, {"place", in.Place}} {
		if len(text.value) > maxSignInText {
			return recovery.BadInput("error.field.form").At(text.field)
		}
	}
	id, ok, err := s.FindHostID(ctx, tx.Queries, realm, in.HostID)
	if err != nil {
		return err
	}
	if !ok {
		return recovery.NotFound("error.account.unknown").At("account")
	}
	at := store.Millis(in.At)
	plain, err := json.Marshal(signInData{in.Device, in.Network, in.Place})
	if err != nil {
		return err
	}
	// Named by what it says, so that the same sign-in is there once.
	name := s.Keys.CountKey("sign-in", string(id), in.At.UTC().Format(time.RFC3339Nano), string(plain))
	sealed, err := s.Keys.Seal(seal.Place{Realm: realm, Owner: string(id) + "/" + name, Column: "sign_ins.data"}, plain)
	if err != nil {
		return err
	}
	if err := tx.InsertSignIn(ctx, db.InsertSignInParams{AccountID: string(id), ID: name, At: at, Data: sealed}); err != nil {
		return err
	}
	return s.Edit(ctx, tx, id, func(e *Edit) error {
		if at > e.LastSignInAt {
			e.LastSignInAt, e.WarnedAt = at, 0
			e.Record(ctx, "signed-in", map[string]string{"by": "host"})
		}
		return nil
	})
}

// signInData is the sealed part of a sign-in.
type signInData struct {
	Device  string `json:"device,omitempty"`
	Network string `json:"network,omitempty"`
	Place   string `json:"place,omitempty"`
}
