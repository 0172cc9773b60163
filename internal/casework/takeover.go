package casework

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/identifier"
	"github.com/wanbi/wanbi/internal/limit"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// A takeover is a case about a case: it is opened by a reference number, asks for
// the proofs that the other case rests on, and moves that case to its browser
// (decision 008). It is a row like any other whether the number is known or not,
// so that everything before the right proof looks and costs the same. It never
// gives the other case a proof that it did not have.

// TakingOver is a request to go on with a case in another browser.
type TakingOver struct {
	Realm   recovery.Realm
	Ref     string // as typed
	Locale  string
	Device  string // ID in a device cookie that was ours, empty for none
	Network netip.Addr
	Once    Once
}

// movedWait is the least that is left of a hold after the case moved, unless the
// whole hold is shorter: whoever is told of the move has time to stop it. It is
// the shortest wait of the hardened policies (two contacts proven).
const movedWait = time.Hour

// TakeOver opens a takeover. Only the form of the reference can be wrong here;
// the case it names is not read, and nothing is sent.
func (s *Service) TakeOver(ctx context.Context, in TakingOver) (Opened, error) {
	p, ok := s.Realms.Policy(in.Realm)
	if !ok {
		return Opened{}, recovery.NotFound("error.realm.unknown")
	}
	ref, ok := identifier.ParseCaseRef(in.Ref)
	if !ok {
		return Opened{}, recovery.BadInput("error.ref.malformed").At("ref")
	}
	var out Opened
	var reply error
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		reply = nil
		stored, err := s.lookUp(ctx, tx, in.Once)
		if err != nil {
			return err
		}
		if stored != nil {
			out, reply = reopened(stored)
			return nil
		}
		if reply, err = s.countNetwork(ctx, tx, p, in.Network); reply != nil || err != nil {
			return err
		}
		if out, err = s.insertTakeover(ctx, tx, p, in, ref); err != nil || in.Once.Key == "" {
			return err
		}
		return s.replies().Keep(ctx, tx, in.Once, storedReply{Opened: &openedCase{out.Subject, out.ID, out.Ref, out.Serial}})
	})
	if err != nil {
		return Opened{}, err
	}
	return out, reply
}

// insertTakeover writes the row beside the case that the reference names, or
// where nobody is.
func (s *Service) insertTakeover(ctx context.Context, tx *store.Tx, p *policy.Policy, in TakingOver, ref recovery.CaseRef) (Opened, error) {
	typed := recovery.Identifier{Kind: recovery.IdentifierCaseRef, Value: string(ref)}
	at, err := tx.CaseByRef(ctx, string(ref))
	if store.NotFound(err) {
		at, err = db.CaseByRefRow{Subject: string(s.Keys.Subject(in.Realm, typed)), CaseID: uuid.NewString()}, nil
	}
	if err != nil {
		return Opened{}, err
	}
	raw, err := newID()
	if err != nil {
		return Opened{}, err
	}
	out := Opened{Subject: recovery.Subject(at.Subject), ID: recovery.CaseID(raw), Ref: ref, Serial: 1}
	now := s.Now()
	row := db.Case{
		Subject: at.Subject, ID: raw, Ref: string(ref), Realm: string(in.Realm), Intent: string(recovery.IntentTakeover),
		State: string(recovery.StateOpen), Version: 1, Kind: string(typed.Kind), Locale: in.Locale, PolicyDigest: p.Digest(),
		TokenSerial: out.Serial, Device: in.Device, Network: s.Keys.CountKey("network", limit.Network(in.Network)), Linked: at.CaseID,
		OpenedAt: store.Millis(now), TouchedAt: store.Millis(now), ExpiresAt: store.Millis(now.Add(p.Limits.OpenCase.Std())),
	}
	if row.Identifier, err = s.Keys.Seal(casePlace(row, "cases.identifier"), []byte(typed.Value)); err != nil {
		return Opened{}, err
	}
	head, err := audit.Append(ctx, tx, s.Keys, caseChain(row), audit.Start(), audit.Entry{
		At: now, Event: "case.opened", To: recovery.StateOpen,
		Data: map[string]string{"intent": row.Intent, "identifier": row.Kind, "policy": row.PolicyDigest, "ref": row.Ref},
	})
	if err != nil {
		return Opened{}, err
	}
	row.ChainSeq, row.ChainHead = head.Seq, head.Hash
	return out, insertCase(ctx, tx, row)
}

// takesOver reports whether the case is a takeover.
func (st *step) takesOver() bool { return recovery.Intent(st.Intent) == recovery.IntentTakeover }

// counted is what visible limits count for: the subject, and in a takeover the
// number that was typed, so that nothing its owner does shows there. The hidden
// limits, by destination and account, are the same through every door (T5, T27).
func (st *step) counted() string {
	if st.takesOver() {
		return "ref " + st.Ref
	}
	return st.Subject
}

// target loads the case that a takeover is about; nil when there is none that
// could be moved now.
func (st *step) target() (*step, error) {
	t, err := st.s.load(st.ctx, st.tx, key{recovery.Subject(st.Subject), recovery.CaseID(st.Linked)})
	if recovery.IsKind(err, recovery.KindUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if t.now.Before(st.now) {
		t.now = st.now
	}
	state := model(t.Case).StateAt(t.now)
	movable := state == recovery.StateOpen || state == recovery.StateHeld || state == recovery.StateInReview
	if !movable || t.takesOver() || t.Realm != st.Realm || t.Ref != st.Ref || t.TokenSerial == 0 { // 0: staff's, of no browser
		return nil, nil
	}
	err = t.checkEpoch()
	if errors.Is(err, errVoid) {
		return nil, nil
	}
	return t, err
}

// restsOn lists the channels that have to be proven again to move the case: all
// that it rests on, or, while it rests on nothing, the contacts of its ways.
func (st *step) restsOn() (channels []string, proven bool, err error) {
	facts, err := st.facts()
	if err != nil {
		return nil, false, err
	}
	add := func(name string) {
		if !slices.Contains(channels, name) {
			channels = append(channels, name)
		}
	}
	for _, e := range facts.Proven {
		add(e.Channel)
	}
	if len(channels) > 0 {
		return channels, true, nil
	}
	for _, w := range st.policy.Decide(facts).Ways {
		for _, name := range w.Way.Prove {
			if ch, ok := channel.Get(name); ok && ch.Info().Contact != "" {
				add(name)
			}
		}
	}
	return channels, false, nil
}

// decide says what the facts are worth: by the policy, or for a takeover by what
// the other case rests on. Before the first proof that is every channel of the
// realm that one can begin with, whatever the number names.
func (st *step) decide(facts policy.Facts) (policy.Decision, error) {
	if !st.takesOver() {
		return st.policy.Decide(facts), nil
	}
	var d policy.Decision
	if len(facts.Proven) == 0 {
		for _, name := range st.beginnings() {
			d.Ways = append(d.Ways, policy.WayState{Way: policy.Way{Name: name, Prove: []string{name}}, Missing: []string{name}})
		}
		return d, nil
	}
	t, err := st.target()
	if err != nil || t == nil {
		return d, err
	}
	channels, proven, err := t.restsOn()
	if err != nil {
		return d, err
	}
	way := policy.WayState{Way: policy.Way{Name: string(recovery.IntentTakeover), Prove: channels}}
	for _, name := range channels {
		if proven && !slices.ContainsFunc(facts.Proven, func(e recovery.Evidence) bool { return e.Channel == name }) {
			way.Missing = append(way.Missing, name)
		}
	}
	way.Met = len(way.Missing) == 0
	d.Ways, d.Met = []policy.WayState{way}, way.Met
	return d, nil
}

// beginnings lists the channels of the realm's ways that need no chosen account.
func (st *step) beginnings() (names []string) {
	for _, intent := range recovery.Intents {
		section := st.policy.Intents[intent]
		if section == nil {
			continue
		}
		for _, way := range section.Ways {
			for _, name := range way.Prove {
				if ch, ok := channel.Get(name); ok && !ch.Info().AccountBound && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// aimTarget finds out what a takeover's challenge reaches: what one of the other
// case would, if that case can be moved and rests on the channel.
func (st *step) aimTarget(info recovery.ChannelInfo) (aim, error) {
	nobody := aim{facts: channel.Nobody{}, destination: st.standIn(info.Name), err: func() error { return nil }}
	t, err := st.target()
	if err != nil {
		return nobody, err
	}
	serial := int64(0)
	if t != nil {
		serial = t.TokenSerial
	}
	if st.Outcome == nil { // from the first challenge on it is about this holder of the case and no later one
		if err := st.bindSerial(serial); err != nil {
			return nobody, err
		}
	}
	if t == nil {
		return nobody, nil
	}
	channels, _, err := t.restsOn()
	if err != nil || !slices.Contains(channels, info.Name) {
		return nobody, err
	}
	t.Device = st.Device
	return t.aim(info)
}

// handed is which token of the other case a takeover is about: the holder's that
// it takes over from, and once it is completed its own.
type handed struct {
	Serial int64 `json:"serial"`
}

func (st *step) bindSerial(serial int64) error {
	plain, err := json.Marshal(handed{serial})
	if err != nil {
		return err
	}
	st.Outcome, err = st.s.Keys.Seal(st.place("cases.outcome"), plain)
	return err
}

// boundSerial gives it back; 0 for none.
func (st *step) boundSerial() (int64, error) {
	if st.Outcome == nil {
		return 0, nil
	}
	plain, err := st.s.Keys.Open(st.place("cases.outcome"), st.Outcome)
	if err != nil {
		return 0, err
	}
	var h handed
	return h.Serial, json.Unmarshal(plain, &h)
}

// takeOver moves the other case once everything that it rests on was proven
// again. A takeover that came too late ends; whoever gets here has proven a
// contact of the case and may know why.
func (st *step) takeOver() error {
	t, err := st.target()
	if err != nil {
		return err
	}
	serial, err := st.boundSerial()
	if err != nil {
		return err
	}
	if t == nil || t.TokenSerial != serial {
		return st.endTakeover()
	}
	same, err := st.provesFor(t)
	if err != nil {
		return err
	}
	if !same {
		return st.endTakeover()
	}
	facts, err := st.facts()
	if err != nil {
		return err
	}
	decision, err := st.decide(facts)
	if err != nil || !decision.Met {
		return err
	}
	moved, err := t.moveTo(st.Device, st.ID)
	if err != nil {
		return err
	}
	if !moved {
		return st.endTakeover()
	}
	for _, event := range []recovery.Event{recovery.EventEnoughEvidence, recovery.EventOutcomeTaken, recovery.EventHostConfirmed} {
		if err := st.move(event, nil); err != nil {
			return err
		}
	}
	return st.bindSerial(t.TokenSerial)
}

func (st *step) endTakeover() error {
	if err := st.move(recovery.EventStopped, map[string]string{"by": "the case moved on"}); err != nil {
		return err
	}
	return kept{recovery.Gone("error.takeover.over")}
}

// provesFor reports whether the takeover's proofs are about the accounts of the
// other case: the chosen one, or all that its own evidence may be about (T1).
func (st *step) provesFor(t *step) (bool, error) {
	_, mine, err := st.proven()
	if err != nil {
		return false, err
	}
	if t.AccountID != "" {
		return slices.Contains(mine, candidate{recovery.AccountID(t.AccountID), t.AccountEpoch}), nil
	}
	_, theirs, err := t.proven()
	return len(mine) > 0 && !slices.ContainsFunc(theirs, func(c candidate) bool { return !slices.Contains(mine, c) }), err
}

// moveTo hands the case to another browser and revokes the holder's token. What
// the account knew of the holder's device does not count for the new one; the
// contacts are told. It reports false, and writes nothing, where the case cannot
// stand without the holder's device.
func (st *step) moveTo(device, takeover string) (bool, error) {
	wasKnown := st.KnownDevice != 0
	if err := st.setDevice(device); err != nil {
		return false, err
	}
	held := recovery.State(st.State) == recovery.StateHeld
	facts, err := st.facts()
	if err != nil {
		return false, err
	}
	decision := st.policy.Decide(facts)
	if held && !decision.Met {
		return false, nil
	}
	st.TokenSerial++
	st.keepAlive()
	if err := st.record("case.moved", map[string]string{"takeover": takeover}); err != nil {
		return false, err
	}
	if held {
		if err := st.waitAnew(decision.Hold, wasKnown && st.KnownDevice == 0); err != nil {
			return false, err
		}
	}
	if held || st.AccountID != "" {
		if err := st.tell(account.NoticeMoved); err != nil {
			return false, err
		}
	}
	return true, st.save()
}

// setDevice replaces the device that the case is on.
func (st *step) setDevice(device string) error {
	st.Device, st.KnownDevice = device, 0
	if st.AccountID == "" {
		return nil
	}
	known, err := st.trusts(recovery.AccountID(st.AccountID))
	if known {
		st.KnownDevice = 1
	}
	return err
}

// waitAnew lengthens a hold where the move asks for it: to the whole of what the
// new device has to wait, if the account knew the old one, and to movedWait from
// now or the whole, whichever is less. It never shortens one.
func (st *step) waitAnew(whole time.Duration, unknownNow bool) error {
	if whole == 0 {
		return nil
	}
	until := later(store.Time(st.HoldUntil), st.now.Add(min(whole, movedWait)))
	if unknownNow {
		until = later(until, store.Time(st.HoldBegan).Add(whole))
	}
	if !until.After(store.Time(st.HoldUntil)) {
		return nil
	}
	st.HoldUntil, st.ExpiresAt = store.Millis(until), store.Millis(until.Add(st.policy.Hold.Expires.Std()))
	return st.move(recovery.EventRiskRaised, map[string]string{"why": "moved", "until": until.Format(time.RFC3339)})
}

// Moved is where a completed takeover leads.
type Moved struct {
	Case   recovery.CaseID
	Serial int64
}

// movedTo gives the case that a completed takeover moved, as long as nobody
// took it over again; nil otherwise.
func (st *step) movedTo() (*Moved, error) {
	if !st.takesOver() || recovery.State(st.State) != recovery.StateCompleted {
		return nil, nil
	}
	serial, err := st.boundSerial()
	if err != nil {
		return nil, err
	}
	row, err := st.tx.GetCase(st.ctx, db.GetCaseParams{Subject: st.Subject, ID: st.Linked})
	if err != nil || row.TokenSerial != serial {
		return nil, err
	}
	return &Moved{recovery.CaseID(row.ID), serial}, nil
}
