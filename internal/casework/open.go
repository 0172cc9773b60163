package casework

import (
	"context"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/identifier"
	"github.com/wanbi/wanbi/internal/limit"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Opening is a request to start a case.
type Opening struct {
	Realm      recovery.Realm
	Intent     recovery.Intent
	Identifier string // as typed
	Locale     string
	Device     string // ID in a device cookie that was ours, empty for none
	Network    netip.Addr
	Once       Once
}

// Opened is the case that was started.
type Opened struct {
	Subject recovery.Subject
	ID      recovery.CaseID
	Ref     recovery.CaseRef
	Serial  int64
}

// Open starts a case about whoever the identifier names. The account is not
// looked up, and nothing is sent.
func (s *Service) Open(ctx context.Context, in Opening) (Opened, error) {
	p, ok := s.Realms.Policy(in.Realm)
	if !ok {
		return Opened{}, recovery.NotFound("error.realm.unknown")
	}
	if p.Intents[in.Intent] == nil {
		return Opened{}, recovery.BadInput("error.intent.unknown").At("intent")
	}
	id, err := identifier.Detect(in.Identifier, p.Identifiers)
	if err != nil {
		return Opened{}, err
	}
	var out Opened
	var reply error
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
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
		out, err = s.insert(ctx, tx, p, in, id)
		if err != nil || in.Once.Key == "" {
			return err
		}
		return s.replies().Keep(ctx, tx, in.Once, storedReply{Opened: &openedCase{out.Subject, out.ID, out.Ref, out.Serial}})
	})
	if err != nil {
		return Opened{}, err
	}
	return out, reply
}

func reopened(stored *storedReply) (Opened, error) {
	if stored.Opened == nil {
		return Opened{}, &recovery.Error{Kind: stored.Kind, Key: stored.Key, Args: stored.Args, Field: stored.Field, RetryAfter: stored.RetryAfter}
	}
	return Opened{stored.Opened.Subject, stored.Opened.ID, stored.Opened.Ref, stored.Opened.Serial}, nil
}

// insert writes the new case, its reference and its first audit entry.
func (s *Service) insert(ctx context.Context, tx *store.Tx, p *policy.Policy, in Opening, id recovery.Identifier) (Opened, error) {
	raw, err := newID()
	if err != nil {
		return Opened{}, err
	}
	out := Opened{Subject: s.Keys.Subject(in.Realm, id), ID: recovery.CaseID(raw), Ref: identifier.NewCaseRef(), Serial: 1}
	now := s.Now()
	row := db.Case{
		Subject: string(out.Subject), ID: raw, Ref: string(out.Ref), Realm: string(in.Realm), Intent: string(in.Intent),
		State: string(recovery.StateOpen), Version: 1, Kind: string(id.Kind), Locale: in.Locale, PolicyDigest: p.Digest(),
		TokenSerial: out.Serial, Device: in.Device, Network: s.Keys.CountKey("network", limit.Network(in.Network)),
		OpenedAt: store.Millis(now), TouchedAt: store.Millis(now), ExpiresAt: store.Millis(now.Add(p.Limits.OpenCase.Std())),
	}
	if row.Identifier, err = s.Keys.Seal(casePlace(row, "cases.identifier"), []byte(id.Value)); err != nil {
		return Opened{}, err
	}
	head, err := audit.Append(ctx, tx, s.Keys, caseChain(row), audit.Start(), audit.Entry{
		At: now, Event: "case.opened", To: recovery.StateOpen,
		Data: map[string]string{"intent": row.Intent, "identifier": row.Kind, "policy": row.PolicyDigest},
	})
	if err != nil {
		return Opened{}, err
	}
	row.ChainSeq, row.ChainHead = head.Seq, head.Hash
	if err := insertCase(ctx, tx, row); err != nil {
		return Opened{}, err
	}
	// A reference that is taken is a lost race: the step begins again with another.
	return out, tx.InsertCaseRef(ctx, db.InsertCaseRefParams{Ref: row.Ref, Subject: row.Subject, CaseID: raw})
}

func insertCase(ctx context.Context, tx *store.Tx, row db.Case) error {
	return tx.InsertCase(ctx, db.InsertCaseParams(row))
}

// count counts one try under a key and says what the rule makes of it.
func (s *Service) count(ctx context.Context, tx *store.Tx, rule limit.Rule, parts ...string) (limit.Verdict, error) {
	now := s.Now()
	row, err := tx.Count(ctx, db.CountParams{Key: s.Keys.CountKey(parts...), MinuteStart: store.Millis(now)})
	if err != nil {
		return limit.Verdict{}, err
	}
	return rule.Decide(limit.Counts{
		MinuteStart: store.Time(row.MinuteStart), HourStart: store.Time(row.HourStart), DayStart: store.Time(row.DayStart),
		Minute: row.MinuteN, Hour: row.HourN, Day: row.DayN,
	}, now), nil
}

// uncount takes back a try that was refused without a look: it sent nothing and
// checked nothing, so it must not use up what its owner has left.
func (s *Service) uncount(ctx context.Context, tx *store.Tx, parts ...string) error {
	return tx.Uncount(ctx, s.Keys.CountKey(parts...))
}

// countNetwork counts what one network caused. Past the limit the reply asks to wait.
func (s *Service) countNetwork(ctx context.Context, tx *store.Tx, p *policy.Policy, network netip.Addr) (reply, err error) {
	verdict, err := s.count(ctx, tx, limit.Rule{PerHour: int64(p.Limits.NetworkPerHour)}, "network", limit.Network(network))
	if err != nil || verdict.Allowed {
		return nil, err
	}
	return recovery.Limited("error.limited", verdict.RetryAfter), nil
}

// realmBuckets spreads the realm-wide counter so that it is no hot row.
const realmBuckets = 8

// countRealm counts a wrong answer for the whole realm. It refuses nobody; it
// tells whether holds have to grow (T6).
func (s *Service) countRealm(ctx context.Context, tx *store.Tx, realm recovery.Realm, subject string) error {
	bucket := strconv.Itoa(limit.Bucket(subject, realmBuckets))
	s.attacks.forget(realm)
	_, err := s.count(ctx, tx, limit.Rule{}, "realm", string(realm), bucket)
	return err
}

// attacks remembers for a moment which realms are under attack: every step asks,
// and the answer changes slowly.
type attacks struct {
	mu    sync.Mutex
	known map[recovery.Realm]attack
}

type attack struct {
	at    time.Time
	under bool
}

// attackKnown is how long what other nodes count may stay unseen.
const attackKnown = time.Second

func (a *attacks) get(realm recovery.Realm, now time.Time) (under, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	one, ok := a.known[realm]
	return one.under, ok && !now.Before(one.at) && now.Before(one.at.Add(attackKnown))
}

func (a *attacks) put(realm recovery.Realm, one attack) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil {
		a.known = map[recovery.Realm]attack{}
	}
	a.known[realm] = one
}

func (a *attacks) forget(realm recovery.Realm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, realm)
}

// underAttack reads the realm-wide counter.
func (s *Service) underAttack(ctx context.Context, tx *store.Tx, p *policy.Policy) (bool, error) {
	most := int64(p.Limits.RealmWrongPerHour)
	if most == 0 {
		return false, nil
	}
	now := s.Now()
	if under, ok := s.attacks.get(p.Realm.ID, now); ok {
		return under, nil
	}
	var keys [realmBuckets]string
	for bucket := range keys {
		keys[bucket] = s.Keys.CountKey("realm", string(p.Realm.ID), strconv.Itoa(bucket))
	}
	sum, err := tx.SumHour(ctx, db.SumHourParams{
		Since: store.Millis(now) - time.Hour.Milliseconds(),
		K0:    keys[0], K1: keys[1], K2: keys[2], K3: keys[3], K4: keys[4], K5: keys[5], K6: keys[6], K7: keys[7],
	})
	if err != nil {
		return false, err
	}
	s.attacks.put(p.Realm.ID, attack{now, sum > most})
	return sum > most, nil
}
