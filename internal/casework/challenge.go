package casework

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/identifier"
	"github.com/wanbi/wanbi/internal/jobs"
	"github.com/wanbi/wanbi/internal/limit"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Acting names a case and what the caller showed for it.
type Acting struct {
	Subject recovery.Subject
	ID      recovery.CaseID
	// May says whether the caller may act in the case.
	May  func(db.Case) error
	Once Once
}

func (a Acting) key() key { return key{a.Subject, a.ID} }

// messageRule is T27: at most so many messages to one destination.
func messageRule(p *policy.Policy) limit.Rule {
	return limit.Rule{
		PerMinute: int64(p.Limits.MessagesPerMinute), PerHour: int64(p.Limits.MessagesPerHour), PerDay: int64(p.Limits.MessagesPerDay),
	}
}

// startRule bounds what needs no limit but that of work: starting a channel that
// sends nothing, and answers that cannot be guessed. It is wide, because strangers
// must not be able to use up what the owner has.
var startRule = limit.Rule{PerMinute: 60}

// guessRule is how many wrong answers a channel checks.
func guessRule(p *policy.Policy, info recovery.ChannelInfo) limit.Rule {
	if info.Unguessable {
		return startRule
	}
	c := p.Channel(info.Name)
	return limit.Rule{PerHour: int64(c.WrongPerHour), PerDay: int64(c.WrongPerDay)}
}

// reserved counts for a device that the account knows apart: fewer an hour and as
// many a day. Without a reserve it counts as any other does.
func (st *step) reserved(known bool, rule limit.Rule, key []string) counting {
	reserve := int64(st.policy.Limits.KnownDeviceReserve)
	if !known || reserve == 0 {
		return counting{key, rule}
	}
	rule.PerHour = reserve
	return counting{append(key, st.Device), rule}
}

// StartChallenge starts one channel of a way, or sends it again: the challenge
// is a row at once, and one job after the commit looks the account up and sends.
func (s *Service) StartChallenge(ctx context.Context, a Acting, way, name string) (Snapshot, error) {
	return s.act(ctx, a, func(st *step) error {
		ch, err := st.startable(way, name)
		if err != nil {
			return err
		}
		sendAs := []string{"send", st.counted(), name, st.Device}
		rule := messageRule(st.policy)
		if ch.Info().Contact == "" {
			rule = startRule
		}
		verdict, err := s.count(ctx, st.tx, rule, sendAs...)
		if err != nil {
			return err
		}
		if !verdict.Allowed {
			return errorOr(s.uncount(ctx, st.tx, sendAs...), recovery.Limited("error.limited", verdict.RetryAfter))
		}
		return st.insertChallenge(way, ch)
	})
}

// startable checks that the way is offered and the channel may be started now.
func (st *step) startable(way, name string) (channel.Channel, error) {
	state := recovery.State(st.State)
	if state != recovery.StateOpen && state != recovery.StateHeld {
		return nil, recovery.Conflict("error.case.closed")
	}
	found, ok := st.policy.Way(recovery.Intent(st.Intent), way)
	ch, known := channel.Get(name)
	if !st.takesOver() && (!ok || !slices.Contains(found.Prove, name)) || !known {
		return nil, recovery.BadInput("error.way.unknown").At("way")
	}
	facts, err := st.facts()
	if err != nil {
		return nil, err
	}
	decision, err := st.decide(facts)
	if err != nil {
		return nil, err
	}
	offered := slices.ContainsFunc(decision.Ways, func(w policy.WayState) bool {
		return w.Way.Name == way && slices.Contains(w.Way.Prove, name)
	})
	proven := slices.ContainsFunc(facts.Proven, func(e recovery.Evidence) bool { return e.Channel == name })
	bound := st.AccountID != "" || st.takesOver() && len(facts.Proven) > 0
	if !offered || proven || (ch.Info().AccountBound && !bound) {
		return nil, recovery.Conflict("error.way.closed")
	}
	return ch, nil
}

func (st *step) insertChallenge(way string, ch channel.Channel) error {
	name := ch.Info().Name
	if err := st.consumeChallenges(); err != nil { // one live challenge a case: "try another way" never leaves two doors open (T1)
		return err
	}
	id, err := newID()
	if err != nil {
		return err
	}
	tunables := st.policy.Channel(name)
	row := db.Challenge{
		Subject: st.Subject, CaseID: st.ID, ID: id, Channel: name, Way: way, Destination: st.standIn(name),
		CreatedAt: store.Millis(st.now), ExpiresAt: store.Millis(st.now.Add(tunables.Valid.Std())),
		ResendAt: store.Millis(st.now.Add(tunables.Resend.Std())),
	}
	if err := st.tx.InsertChallenge(st.ctx, db.InsertChallengeParams(row)); err != nil {
		return err
	}
	st.seen.live.set(&row)
	st.keepAlive()
	if err := st.record("challenge.started", map[string]string{"channel": name, "way": way}); err != nil {
		return err
	}
	return st.s.Queue.Enqueue(st.ctx, st.tx, jobs.New{
		Key: st.Subject, Kind: startJob, Realm: recovery.Realm(st.Realm), Due: st.now,
		Payload: startPayload{Subject: recovery.Subject(st.Subject), Case: recovery.CaseID(st.ID), Challenge: recovery.ChallengeID(id)},
	})
}

// standIn is the counting key where there is no destination.
func (st *step) standIn(name string) string { return st.s.Keys.CountKey("nobody", st.Subject, name) }

const startJob = "challenge.start"

type startPayload struct {
	Subject   recovery.Subject     `json:"subject"`
	Case      recovery.CaseID      `json:"case"`
	Challenge recovery.ChallengeID `json:"challenge"`
}

// candidate is an account that a proof may be about, as it was then.
type candidate struct {
	Account recovery.AccountID `json:"account"`
	Epoch   int64              `json:"epoch"`
}

// aim is what a challenge turned out to reach.
type aim struct {
	facts       channel.Facts
	destination string // counting key
	candidates  []candidate
	known       bool   // the device is known to the account
	locale      string // of the account, empty when there is none
	err         func() error
}

// startChallenge is the job that looks the account up, starts the channel and
// queues what has to be sent. What it writes is the same for known and unknown
// identifiers.
func (s *Service) startChallenge(ctx context.Context, job jobs.Job) error {
	var p startPayload
	if err := job.Read(&p); err != nil {
		return err
	}
	if err := s.fetchFromHost(ctx, job.Realm, p); err != nil {
		return err
	}
	// The case's guard is enough for once: whoever comes second finds the channel started.
	err := s.edit(ctx, key{p.Subject, p.Case}, Once{}, anybody, func(st *step) error {
		row, err := st.tx.GetChallenge(ctx, db.GetChallengeParams{Subject: st.Subject, CaseID: st.ID, ID: string(p.Challenge)})
		if err != nil {
			return err
		}
		if row.ConsumedAt != 0 || row.Data != nil {
			return nil
		}
		return st.begin(row)
	})
	if recovery.IsKind(err, recovery.KindGone) { // the case is over
		return nil
	}
	return err
}

// begin starts the channel of a challenge.
func (st *step) begin(row db.Challenge) error {
	ch, ok := channel.Get(row.Channel)
	if !ok {
		return recovery.BadInput("error.way.unknown")
	}
	to, err := st.aim(ch.Info())
	if err != nil {
		return err
	}
	send := st.reserved(to.known, messageRule(st.policy), []string{"send", to.destination})
	allowed, err := st.s.count(st.ctx, st.tx, send.rule, send.key...)
	if err == nil && !allowed.Allowed {
		err = st.s.uncount(st.ctx, st.tx, send.key...)
	}
	if err != nil {
		return err
	}
	data, deliveries, err := ch.Start(st.ctx, st.claim(row, to))
	if err != nil {
		return err
	}
	if err := to.err(); err != nil {
		return err
	}
	sealed, err := st.s.Keys.Seal(challengePlace(st.Case, row.ID, "challenges.data"), data)
	if err != nil {
		return err
	}
	candidates, err := st.sealCandidates(row.ID, to.candidates)
	if err != nil {
		return err
	}
	known := int64(0)
	if to.known {
		known = 1
	}
	if err := st.tx.StartChallenge(st.ctx, db.StartChallengeParams{
		Subject: st.Subject, CaseID: st.ID, ID: row.ID, Data: sealed, Destination: to.destination, Candidates: candidates, KnownDevice: known,
	}); err != nil {
		return err
	}
	return st.send(row, to, deliveries, allowed.Allowed)
}

// send queues the deliveries. Where there is nothing to send it queues an empty
// one, so that the writes agree.
func (st *step) send(row db.Challenge, to aim, deliveries []channel.Delivery, allowed bool) error {
	event, data := "code.sent", map[string]string{"channel": row.Channel}
	if !allowed {
		event, deliveries = "code.withheld", nil
	} else if len(deliveries) == 0 && to.facts.Account() == "" {
		event = "code.withheld"
	}
	if err := st.record(event, data); err != nil {
		return err
	}
	if len(deliveries) == 0 {
		return st.sendNothing(row, to, allowed)
	}
	locale := to.locale
	if locale == "" {
		locale = st.Locale
	}
	for _, d := range deliveries {
		args, err := st.linkArgs(row, d)
		if err != nil {
			return err
		}
		if err := st.s.Queue.Enqueue(st.ctx, st.tx, jobs.New{
			Key: st.Subject, Kind: deliverJob, Realm: recovery.Realm(st.Realm), Due: st.now,
			Payload: delivery{
				Kind: d.To.Kind, To: d.To.Value, Message: d.Message, Args: args, Locale: locale,
				Purpose: recovery.Intent(st.Intent), Until: row.ExpiresAt,
			},
		}); err != nil {
			return err
		}
	}
	return nil
}

// unknownEvery is how often an address without an account is told so: once in
// 30 days (architecture.md, data rule 1).
const unknownEvery = 30 * 24 * time.Hour

// sendNothing tells an e-mail address that has no account here, once in a while
// and within the realm's and the network's share; otherwise it queues an empty delivery.
func (st *step) sendNothing(row db.Challenge, to aim, allowed bool) error {
	empty := delivery{Locale: st.Locale, Until: row.ExpiresAt}
	tell := allowed && to.facts.Account() == "" && len(to.candidates) == 0 &&
		st.Kind == string(recovery.IdentifierEmail) && strings.HasPrefix(row.Channel, "email-")
	job := jobs.New{Key: st.Subject, Kind: deliverJob, Realm: recovery.Realm(st.Realm), Due: st.now, Payload: empty}
	if tell {
		value, err := st.identifier()
		if err != nil {
			return err
		}
		due, err := st.unknownDue(value)
		if err != nil {
			return err
		}
		if due {
			job.Payload = delivery{
				Kind: recovery.ContactEmail, To: value.Value, Message: "mail.unknown", Locale: st.Locale, Until: row.ExpiresAt,
			}
		}
	}
	return st.s.Queue.Enqueue(st.ctx, st.tx, job)
}

// unknownDue says whether this mailbox, whatever its plus tag, is told now.
func (st *step) unknownDue(value recovery.Identifier) (bool, error) {
	for _, cap := range []struct {
		rule limit.Rule
		key  []string
	}{
		{limit.Rule{PerHour: unknownPerNetwork}, []string{"unknown", st.Network}},
		{limit.Rule{PerHour: unknownPerRealm}, []string{"unknown-realm", st.Realm}},
	} {
		verdict, err := st.s.count(st.ctx, st.tx, cap.rule, cap.key...)
		if err != nil || !verdict.Allowed {
			return false, err
		}
	}
	mailbox := st.s.Keys.Subject(recovery.Realm(st.Realm), recovery.Identifier{
		Kind: recovery.IdentifierEmail, Value: identifier.Mailbox(value.Value),
	})
	rows, err := st.tx.TellUnknown(st.ctx, db.TellUnknownParams{
		Subject: string(mailbox), Now: store.Millis(st.now), Before: store.Millis(st.now.Add(-unknownEvery)),
	})
	return rows > 0, err
}

// How many "no account here" messages one network and one realm cause an hour.
const (
	unknownPerNetwork = 20
	unknownPerRealm   = 500
)

func (st *step) identifier() (recovery.Identifier, error) {
	plain, err := st.s.Keys.Open(st.place("cases.identifier"), st.Identifier)
	return recovery.Identifier{Kind: recovery.IdentifierKind(st.Kind), Value: string(plain)}, err
}

func (st *step) claim(row db.Challenge, to aim) channel.Claim {
	return channel.Claim{
		Realm: recovery.Realm(st.Realm), Case: recovery.CaseID(st.ID), Challenge: recovery.ChallengeID(row.ID),
		Destination: to.destination, Digits: st.policy.Channel(row.Channel).Digits, Facts: to.facts, Keys: st.s.Keys,
	}
}

func (st *step) sealCandidates(owner string, candidates []candidate) ([]byte, error) {
	plain, err := json.Marshal(candidates)
	if err != nil {
		return nil, err
	}
	return st.s.Keys.Seal(challengePlace(st.Case, owner, "candidates"), plain)
}

func (st *step) openCandidates(owner string, sealed []byte) ([]candidate, error) {
	if sealed == nil {
		return nil, nil
	}
	plain, err := st.s.Keys.Open(challengePlace(st.Case, owner, "candidates"), sealed)
	if err != nil {
		return nil, err
	}
	var out []candidate
	return out, json.Unmarshal(plain, &out)
}

// destinationKey is the counting key of a contact: the mailbox for an e-mail, so
// that plus tags do not multiply the messages.
func (s *Service) destinationKey(c recovery.Contact) string {
	value := c.Value
	if c.Kind == recovery.ContactEmail {
		value = identifier.Mailbox(value)
	}
	return s.Keys.CountKey("destination", string(c.Kind), value)
}
