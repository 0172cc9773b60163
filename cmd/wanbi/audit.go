package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/identifier"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

type auditCommands struct {
	Verify        auditVerifyCommand        `cmd:"" help:"Check the whole record: entries, chains, the tree and what was signed."`
	Receipt       auditReceiptCommand       `cmd:"" help:"Write the receipt of an account or a case, for its owner."`
	VerifyReceipt auditVerifyReceiptCommand `cmd:"" help:"Check a receipt offline, with the log's public key."`
}

// moment writes a time for operators, in UTC.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

type auditVerifyCommand struct{ settings }

// Help is what --help says beside the flags.
func (auditVerifyCommand) Help() string {
	return `Finds every row that was edited, taken out, exchanged or put back since it was written, and compares the database with the checkpoint file outside it. It may run while the server does.

Exit code 1: something does not hold; each problem is a line.

Example:

    wanbi audit verify --config /etc/wanbi/wanbi.yaml`
}

func (c auditVerifyCommand) Run(s std) error {
	d, log, err := c.openLog(s)
	if err != nil {
		return err
	}
	defer d.Close()
	problems := 0
	if err := log.CheckEpoch(s.ctx); err != nil {
		if recovery.IsKind(err, recovery.KindUnavailable) {
			return err
		}
		problems++
		s.printf("problem: %v\n", err)
	}
	progress := newShown(s.err)
	report, err := log.Verify(s.ctx, func(done, of int64) {
		progress.say(func() string { return fmt.Sprintf("%d of %d entries", done, of) })
	})
	progress.end()
	if err != nil {
		return err
	}
	for _, problem := range report.Problems {
		s.printf("problem: %s\n", problem)
	}
	s.printf("%d entries in the log, %d waiting to enter it, %d chains, %d erased\n", report.Leaves, report.Pending, report.Chains, report.Erased)
	if problems += len(report.Problems); problems > 0 {
		return found{fmt.Errorf("the audit log does not hold: %d problems", problems)}
	}
	s.printf("everything holds\n")
	return nil
}

type auditReceiptCommand struct {
	inRealm
	Account string `help:"The host's own ID of the account." placeholder:"ID" xor:"of" required:""`
	Case    string `help:"The case reference, such as 7K3MQ-X2V9D." placeholder:"REF" xor:"of" required:""`
	Output  string `help:"Write to this file; left out, to standard output." placeholder:"FILE" short:"o" type:"path"`
}

// Help is what --help says beside the flags.
func (auditReceiptCommand) Help() string {
	return `Discloses what happened to an account, or in a case, with the proofs that each entry is in the log that was signed. It is for the owner: give it to nobody else.

Example:

    wanbi audit receipt --realm yichuangtong --account 1001 --output receipt.json
    wanbi audit verify-receipt receipt.json --key "$(wanbi keys show keys.json | sed -n 's/^log verifier key: //p')"`
}

func (c auditReceiptCommand) Run(s std) error {
	d, log, err := c.openLog(s)
	if err != nil {
		return err
	}
	defer d.Close()
	chain, err := c.chain(s, d, log.Keys)
	if err != nil {
		return err
	}
	receipt, err := log.Receipt(s.ctx, chain)
	if err != nil {
		return err
	}
	if len(receipt.Entries) == 0 {
		return errors.New("nothing of it is in the log yet: the server takes entries within a second; is it running?")
	}
	text, err := json.MarshalIndent(receipt, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if c.Output == "" {
		_, err = s.out.Write(text)
		return err
	}
	if err := os.WriteFile(c.Output, text, 0o600); err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	s.printf("%d entries in %s\n", len(receipt.Entries), c.Output)
	return nil
}

// chain finds what the receipt is about.
func (c auditReceiptCommand) chain(s std, d *store.DB, keys *seal.Keyring) (audit.Chain, error) {
	realm := recovery.Realm(c.Realm)
	var chain audit.Chain
	err := d.Read(s.ctx, func(q *db.Queries) error {
		if c.Account != "" {
			accounts := &account.Service{DB: d, Keys: keys}
			id, ok, err := accounts.FindHostID(s.ctx, q, realm, c.Account)
			if err == nil && !ok {
				err = fmt.Errorf("no account with that ID in realm %s", realm)
			}
			chain = account.Chain(realm, id)
			return err
		}
		ref, ok := identifier.ParseCaseRef(c.Case)
		if !ok {
			return fmt.Errorf("%q is no case reference: compare it letter by letter", c.Case)
		}
		at, err := q.CaseByRef(s.ctx, string(ref))
		if store.NotFound(err) {
			return fmt.Errorf("no case %s", ref)
		}
		if err != nil {
			return err
		}
		row, err := q.GetCase(s.ctx, db.GetCaseParams{Subject: at.Subject, ID: at.CaseID})
		if err == nil && row.Realm != c.Realm {
			err = fmt.Errorf("case %s is in another realm", ref)
		}
		chain = audit.Chain{Owner: row.Subject, ID: row.ID, Realm: realm}
		return err
	})
	return chain, err
}

type auditVerifyReceiptCommand struct {
	File string `arg:"" help:"The receipt." placeholder:"FILE" type:"path"`
	Key  string `help:"The log's verifier key, from a source that you trust." required:"" placeholder:"KEY"`
}

// Help is what --help says beside the flags.
func (auditVerifyReceiptCommand) Help() string {
	return `Needs no server and no database. It recomputes each entry's hash from what the receipt discloses and follows its proof to the signed checkpoint. The key that the receipt itself names proves nothing: take it from where the operator publishes it.

Exit code 1: the receipt does not hold.

Example:

    wanbi audit verify-receipt receipt.json --key id.example.cn/wanbi+8f3c2a10+AXx…`
}

func (c auditVerifyReceiptCommand) Run(s std) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	var receipt audit.Receipt
	if err := json.Unmarshal(text, &receipt); err != nil {
		return fmt.Errorf("receipt: %s is no receipt: %w", c.File, err)
	}
	if err := audit.VerifyReceipt(receipt, strings.TrimSpace(c.Key)); err != nil {
		return found{err}
	}
	for _, e := range receipt.Entries {
		moved := ""
		if e.From != e.To {
			moved = " " + e.From + " → " + e.To
		}
		var payload bytes.Buffer
		if err := json.Compact(&payload, e.Payload); err != nil {
			return err
		}
		s.printf("%s  %s%s  %s\n", moment(e.At), e.Event, moved, &payload)
	}
	s.printf("the receipt holds: %d entries are in the log that was signed\n", len(receipt.Entries))
	return nil
}
