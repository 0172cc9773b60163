package casework

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/i18n"
	"github.com/wanbi/wanbi/internal/jobs"
	"github.com/wanbi/wanbi/internal/notify"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

const (
	noticeJob  = account.NoticeJob
	deliverJob = "message.deliver"
)

// delivery is one message that has to go out. Its text is made when it is sent,
// from what is fixed here, so that a repeat is the same message.
type delivery struct {
	Kind    recovery.ContactKind `json:"kind,omitempty"` // empty: nothing to send
	To      string               `json:"to,omitempty"`
	Message string               `json:"message,omitempty"`
	Args    map[string]string    `json:"args,omitempty"`
	Locale  string               `json:"locale"`
	Purpose recovery.Intent      `json:"purpose,omitempty"`
	At      time.Time            `json:"at,omitzero"`
	HoldEnd time.Time            `json:"hold_end,omitzero"`
	Until   int64                `json:"until,omitempty"` // not sent any more from then on; 0 for no end
}

// tell queues notices to every contact of the account, or of every account that
// a find-account case shows.
func (st *step) tell(notice string) error {
	accounts := []recovery.AccountID{recovery.AccountID(st.AccountID)}
	if st.AccountID == "" {
		_, common, err := st.proven()
		if err != nil {
			return err
		}
		accounts = accounts[:0]
		for _, c := range common {
			accounts = append(accounts, c.Account)
		}
	}
	return st.tellAll(notice, accounts)
}

func (st *step) tellAll(notice string, accounts []recovery.AccountID) error {
	for _, id := range accounts {
		row, err := st.account(id)
		if err != nil {
			return err
		}
		contacts, err := st.contacts(id)
		if err != nil {
			return err
		}
		if err := st.s.queueNotices(st.ctx, st.tx, st.policy, row, contacts, account.Notice{
			Account: id, Kind: notice, Intent: recovery.Intent(st.Intent), Subject: recovery.Subject(st.Subject),
			Case: recovery.CaseID(st.ID), Ref: recovery.CaseRef(st.Ref), At: st.now, Until: store.Time(st.HoldUntil),
		}); err != nil {
			return err
		}
	}
	return st.record("notice.sent", map[string]string{"notice": notice})
}

// sendNotices is the job that turns a notice that no case caused into one message
// a contact on file.
func (s *Service) sendNotices(ctx context.Context, job jobs.Job) error {
	var n account.Notice
	if err := job.Read(&n); err != nil {
		return err
	}
	p, ok := s.Realms.Policy(job.Realm)
	if !ok {
		return recovery.Unavailable("error.unavailable", time.Minute)
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := s.Queue.Finish(ctx, tx, job); err != nil {
			return err
		}
		row, err := tx.GetAccount(ctx, string(n.Account))
		if err != nil {
			return err
		}
		contacts, err := s.Accounts.ReadContacts(ctx, tx.Queries, job.Realm, n.Account)
		if err != nil {
			return err
		}
		return s.queueNotices(ctx, tx, p, row, contacts, n)
	})
}

// queueNotices queues one message a contact of the account: those on file and,
// where a case is the cause, those that went lately (T12).
func (s *Service) queueNotices(ctx context.Context, tx *store.Tx, p *policy.Policy, to db.Account, contacts account.Contacts, n account.Notice) error {
	all, err := contacts.OnFile()
	if err != nil {
		return err
	}
	if n.Case != "" {
		former, err := contacts.Former(n.At.Add(-p.Notify.Links.Std()))
		if err != nil {
			return err
		}
		all = append(all, former...)
	}
	realm := recovery.Realm(to.Realm)
	link, err := s.noticeLink(realm, n)
	if err != nil {
		return err
	}
	told := map[string]bool{}
	for _, c := range all {
		if told[c.Value] {
			continue // a contact that only moved to another place
		}
		told[c.Value] = true
		if err := s.Queue.Enqueue(ctx, tx, jobs.New{
			Key: string(n.Account), Kind: deliverJob, Realm: realm, Due: s.Now(),
			Payload: delivery{
				Kind: c.Kind, To: c.Value, Message: messagePrefix(c.Kind) + n.Kind, Locale: to.Locale, Purpose: n.Intent,
				Args: map[string]string{"link": link, "ref": string(n.Ref)}, At: n.At, HoldEnd: n.Until,
				Until: store.Millis(n.At.Add(p.Notify.Links.Std())),
			},
		}); err != nil {
			return err
		}
	}
	return nil
}

func messagePrefix(kind recovery.ContactKind) string {
	if kind == recovery.ContactPhone {
		return "sms."
	}
	return "mail."
}

// noticeLink is the "not me" link: cancel while the case runs, disavow after.
// A notice without a case leads to the start page.
func (s *Service) noticeLink(realm recovery.Realm, n account.Notice) (string, error) {
	if n.Case == "" {
		return s.Origin + "/" + string(realm) + "/recover", nil
	}
	token, err := s.StopToken(n.Subject, n.Case, n.Account, n.At)
	return s.Origin + "/" + string(realm) + "/cancel/" + token, err
}

const stopPurpose = "stop"

// StopToken is the token of a cancel or disavow link.
func (s *Service) StopToken(subject recovery.Subject, id recovery.CaseID, to recovery.AccountID, at time.Time) (string, error) {
	raw, err := uuid.Parse(string(to))
	if err != nil {
		return "", err
	}
	extra := append(raw[:], []byte(strconv.FormatInt(at.UnixMilli(), 36))...)
	return s.Keys.SealID(stopPurpose, string(subject), string(id), extra)
}

const linkPurpose = "link"

// linkArgs turns the secret of an e-mailed proof link into the link.
func (st *step) linkArgs(row db.Challenge, d channel.Delivery) (map[string]string, error) {
	part, ok := d.Args["secret"]
	if !ok {
		return d.Args, nil
	}
	secret, err := hex.DecodeString(part)
	if err != nil {
		return nil, err
	}
	challenge, err := uuid.Parse(row.ID)
	if err != nil {
		return nil, err
	}
	token, err := st.s.Keys.SealID(linkPurpose, st.Subject, st.ID, append(challenge[:], secret...))
	if err != nil {
		return nil, err
	}
	return map[string]string{"link": st.s.Origin + "/" + st.Realm + "/link/" + token}, nil
}

// deliver is the job that sends one message.
func (s *Service) deliver(ctx context.Context, job jobs.Job) error {
	var d delivery
	if err := job.Read(&d); err != nil {
		return err
	}
	if d.Kind == "" {
		return nil
	}
	if d.Until != 0 && store.Millis(s.Now()) >= d.Until {
		s.Log.Warn("message not sent: its time was over", "message", d.Message, "job", job.ID)
		return nil
	}
	m, err := s.compose(job, d)
	if err != nil {
		return err
	}
	return s.Sender.Send(ctx, m)
}

// compose makes the message in the account's language, with one line in the other.
func (s *Service) compose(job jobs.Job, d delivery) (notify.Message, error) {
	p, ok := s.Realms.Policy(job.Realm)
	if !ok {
		return notify.Message{}, recovery.Unavailable("error.unavailable", time.Minute)
	}
	origin, err := url.Parse(s.Origin)
	if err != nil {
		return notify.Message{}, err
	}
	name := realmName(p, d.Locale)
	args := map[string]any{
		"realm": i18n.Both{i18n.Chinese: realmName(p, i18n.Chinese), i18n.English: realmName(p, i18n.English)}, "host": origin.Hostname(), "at": d.At, "until": d.HoldEnd,
		"purpose": "", "what": "", "minutes": strconv.Itoa(int(s.validity(job, d).Minutes())),
	}
	if d.Purpose != "" {
		purpose := i18n.T(d.Locale, "intent."+string(d.Purpose)+".purpose", nil)
		args["purpose"], args["what"] = purpose, purpose
	}
	for name, value := range d.Args {
		args[name] = value
	}
	m := notify.Message{ID: job.ID, Kind: d.Kind, To: d.To, From: name, Locale: d.Locale}
	if d.Kind == recovery.ContactPhone {
		m.Text = i18n.Message(d.Locale, d.Message, args)
		return m, nil
	}
	m.Subject = i18n.T(d.Locale, d.Message+".subject", args)
	m.Text = i18n.Message(d.Locale, d.Message+".text", args)
	return m, nil
}

// realmName is the realm's name in a language, or in the one it has.
func realmName(p *policy.Policy, locale string) string {
	for _, one := range []string{locale, p.Realm.Locale, i18n.Chinese} {
		if name := p.Realm.Name[one]; name != "" {
			return name
		}
	}
	return string(p.Realm.ID)
}

// validity is how long a code message says that its code works: the policy's
// span, fixed when it was queued.
func (s *Service) validity(job jobs.Job, d delivery) time.Duration {
	p, ok := s.Realms.Policy(job.Realm)
	if !ok {
		return 0
	}
	switch {
	case strings.HasPrefix(d.Message, "sms.code"):
		return p.Channel("sms-code").Valid.Std()
	case strings.HasPrefix(d.Message, "mail.code"):
		return p.Channel("email-code").Valid.Std()
	}
	return p.Channel("email-link").Valid.Std()
}

// note writes the case's binding or end on its account's own chain. The account
// may be on another shard than the case; docs/decisions/010-binding-in-one-step.md
// says why it is the same transaction all the same.
func (st *step) note(event string) error {
	if st.AccountID == "" || st.noted {
		return nil
	}
	return st.editAccount(recovery.AccountID(st.AccountID), func(e *account.Edit) error { return st.noteOn(e, event) })
}

// noteOn does so on an account that is being changed anyway.
func (st *step) noteOn(e *account.Edit, event string) error {
	state := recovery.State(st.State)
	if event == "ended" {
		st.noted = true
		if state == recovery.StateApplying { // the account is changed first, and the case completes with it
			state = recovery.StateCompleted
		}
		if err := st.tx.EndAccountCase(st.ctx, db.EndAccountCaseParams{
			AccountID: string(e.ID), CaseID: st.ID, EndedAt: store.Millis(st.now), EndState: string(state),
		}); err != nil {
			return err
		}
	} else if err := st.tx.BindAccountCase(st.ctx, db.BindAccountCaseParams{
		AccountID: string(e.ID), CaseID: st.ID, Subject: st.Subject, BoundAt: store.Millis(st.now),
	}); err != nil {
		return err
	}
	e.Record(st.ctx, "case."+event, map[string]string{"case": st.Ref, "state": string(state)})
	return nil
}

// tellHost is the job that posts one event to the host, in the account's order:
// an earlier one that still waits goes first, and a dead letter unblocks.
func (s *Service) tellHost(ctx context.Context, job jobs.Job) error {
	realm, ok := s.Realms.Get(job.Realm)
	if !ok {
		return recovery.Unavailable("error.unavailable", time.Minute)
	}
	if realm.Events == "" {
		return nil
	}
	event, err := account.ReadEvent(job)
	if err != nil {
		return err
	}
	var earlier int64
	err = s.DB.Read(ctx, func(q *db.Queries) (err error) {
		earlier, err = q.EarlierJobs(ctx, db.EarlierJobsParams{Key: job.Key, Kind: job.Kind, ID: job.ID})
		return err
	})
	if err != nil {
		return err
	}
	if earlier > 0 {
		return recovery.Unavailable("error.unavailable", time.Second).Because(fmt.Errorf("%d earlier events of the account wait", earlier))
	}
	return s.Hooks.Post(ctx, realm.Events, event.ID, event, nil)
}
