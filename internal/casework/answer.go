package casework

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/limit"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Answering is an answer to a challenge.
type Answering struct {
	Acting
	Challenge recovery.ChallengeID
	Answer    channel.Answer
	Network   netip.Addr
	// Move hands the case to the browser that answers and revokes the opener's
	// token: a click on an e-mailed link proves nothing for whoever asked for it.
	Move bool
	// Device replaces the opener's when the case moves.
	Device string
}

// Answer counts the attempt, compares, and takes the case as far as the proof
// carries it, in one transaction.
func (s *Service) Answer(ctx context.Context, in Answering) (Snapshot, error) {
	return s.act(ctx, in.Acting, func(st *step) error {
		row, err := st.live(in.Challenge)
		if err != nil {
			return err
		}
		info, err := st.tryOnce(row, in)
		if err != nil {
			return err
		}
		if in.Move {
			st.TokenSerial++
			if err := st.setDevice(in.Device); err != nil {
				return err
			}
		}
		if err := st.record("evidence.accepted", map[string]string{"channel": info.Name}); err != nil {
			return err
		}
		return st.progress()
	})
}

// live gives the challenge if it can be answered now.
func (st *step) live(id recovery.ChallengeID) (db.Challenge, error) {
	state := recovery.State(st.State)
	if state != recovery.StateOpen && state != recovery.StateHeld {
		return db.Challenge{}, recovery.Conflict("error.case.closed")
	}
	row, err := st.challenge(id)
	if store.NotFound(err) {
		return row, recovery.NotFound("error.challenge.unknown")
	}
	if err != nil {
		return row, err
	}
	if row.ConsumedAt != 0 || !st.now.Before(store.Time(row.ExpiresAt)) {
		return row, recovery.Gone("error.code.expired")
	}
	if row.Data == nil {
		// Nothing was sent yet, so nobody can know the answer; the same for everybody.
		return row, recovery.Unavailable("error.answer.preparing", time.Second)
	}
	return row, nil
}

// challenge is one of the case's, live or not.
func (st *step) challenge(id recovery.ChallengeID) (db.Challenge, error) {
	live, err := st.liveChallenge()
	if err != nil {
		return db.Challenge{}, err
	}
	if live != nil && live.ID == string(id) {
		return *live, nil
	}
	return st.tx.GetChallenge(st.ctx, db.GetChallengeParams{Subject: st.Subject, CaseID: st.ID, ID: string(id)})
}

// tryOnce counts, compares and settles one attempt. Every count is taken before
// anything is compared (T5); the hidden ones refuse exactly like a wrong answer.
func (st *step) tryOnce(row db.Challenge, in Answering) (recovery.ChannelInfo, error) {
	ch, ok := channel.Get(row.Channel)
	if !ok {
		return recovery.ChannelInfo{}, recovery.NotFound("error.challenge.unknown")
	}
	info := ch.Info()
	if reply, err := st.s.countNetwork(st.ctx, st.tx, st.policy, in.Network); reply != nil || err != nil {
		return info, errorOr(err, reply)
	}
	guesses := st.guesses(row, info)
	visible, err := st.s.count(st.ctx, st.tx, guesses.visible.rule, guesses.visible.key...)
	if err != nil {
		return info, err
	}
	hidden, err := st.s.count(st.ctx, st.tx, guesses.hidden.rule, guesses.hidden.key...)
	if err != nil {
		return info, err
	}
	if !visible.Allowed {
		err := errors.Join(st.s.uncount(st.ctx, st.tx, guesses.visible.key...), st.s.uncount(st.ctx, st.tx, guesses.hidden.key...))
		return info, errorOr(err, recovery.Limited("error.limited", visible.RetryAfter))
	}
	proof, err := st.compare(ch, row, in.Answer, hidden.Allowed)
	if recovery.IsKind(err, recovery.KindNotProven) {
		if err := st.s.countRealm(st.ctx, st.tx, recovery.Realm(st.Realm), st.Subject); err != nil {
			return info, err
		}
		if err := st.record("answer.wrong", map[string]string{"channel": row.Channel}); err != nil {
			return info, err
		}
		return info, kept{recovery.AsError(err)}
	}
	if err != nil {
		return info, err
	}
	for _, g := range []counting{guesses.visible, guesses.hidden} { // a right answer is no guess
		if err := st.s.uncount(st.ctx, st.tx, g.key...); err != nil {
			return info, err
		}
	}
	return info, st.accept(row, info, proof)
}

func errorOr(err, reply error) error {
	if err != nil {
		return err
	}
	return kept{recovery.AsError(reply)}
}

type counting struct {
	key  []string
	rule limit.Rule
}

// guesses says under which keys an attempt counts: visibly for the subject, and
// hidden for what the challenge reaches, across all cases. A device that the
// account knows counts apart, so that strangers cannot use its guesses up.
func (st *step) guesses(row db.Challenge, info recovery.ChannelInfo) (g struct{ visible, hidden counting }) {
	rule := guessRule(st.policy, info)
	known := row.KnownDevice != 0
	g.visible = st.reserved(known, rule, []string{"guess", st.counted(), row.Channel})
	g.hidden = st.reserved(known, rule, []string{"guess-at", st.Realm, row.Destination, row.Channel})
	return g
}

// compare asks the channel. Past the hidden limit it asks all the same and
// throws the result away, so that work and time agree.
func (st *step) compare(ch channel.Channel, row db.Challenge, answer channel.Answer, allowed bool) (channel.Proof, error) {
	candidates, err := st.openCandidates(row.ID, row.Candidates)
	if err != nil {
		return channel.Proof{}, err
	}
	data, err := st.s.Keys.Open(challengePlace(st.Case, row.ID, "challenges.data"), row.Data)
	if err != nil {
		return channel.Proof{}, err
	}
	about := channel.Nobody{}
	if len(candidates) > 0 {
		about.ID = candidates[0].Account
	}
	claim := st.claim(row, aim{facts: about, destination: row.Destination})
	proof, err := ch.Check(st.ctx, channel.Challenge{Claim: claim, Data: data}, answer)
	if err == nil && (!allowed || !st.fresh(candidates)) {
		return proof, recovery.NotProven(ch.Info().Failures[0])
	}
	return proof, err
}

// fresh reports whether the accounts that a proof is about are as they were when
// the challenge was sent: a completed recovery voids what was sent before (T9).
// A proof about other accounts than the chosen one is none (T1).
func (st *step) fresh(candidates []candidate) bool {
	about := st.AccountID == "" ||
		slices.ContainsFunc(candidates, func(c candidate) bool { return string(c.Account) == st.AccountID })
	return about && len(candidates) > 0 && len(st.stillAs(candidates)) == len(candidates)
}

// stillAs keeps the candidates whose epoch has not moved on.
func (st *step) stillAs(candidates []candidate) []candidate {
	var out []candidate
	for _, c := range candidates {
		row, err := st.account(c.Account)
		if err == nil && row.Epoch == c.Epoch {
			out = append(out, c)
		}
	}
	return out
}

// accept takes the proof into evidence, and what it uses up is used up. Of two
// right answers at once one moves the case, and the other begins again and finds
// the challenge consumed.
func (st *step) accept(row db.Challenge, info recovery.ChannelInfo, proof channel.Proof) error {
	if err := st.consumeChallenges(); err != nil {
		return err
	}
	candidates, err := st.openCandidates(row.ID, row.Candidates)
	if err != nil {
		return err
	}
	if proof.BackupCode != "" {
		used, err := st.tx.ConsumeBackupCode(st.ctx, db.ConsumeBackupCodeParams{
			AccountID: string(candidates[0].Account), Hash: proof.BackupCode, ConsumedAt: store.Millis(st.now),
		})
		if err != nil {
			return err
		}
		if used == 0 {
			return kept{recovery.NotProven(info.Failures[0]).At("code")}
		}
	}
	id, err := newID()
	if err != nil {
		return err
	}
	sealed, err := st.sealCandidates(id, candidates)
	if err != nil {
		return err
	}
	st.keepAlive()
	st.seen.proofs.known = false
	return st.tx.InsertEvidence(st.ctx, db.InsertEvidenceParams{
		Subject: st.Subject, CaseID: st.ID, ID: id, ChallengeID: row.ID, Channel: info.Name, Factor: string(info.Factor),
		Contact: string(info.Contact), Candidates: sealed, At: store.Millis(st.now),
	})
}
