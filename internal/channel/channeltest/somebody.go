package channeltest

import (
	"context"
	"sync"
	"testing"

	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/secret"
)

// The facts of somebody with an account, and of somebody else.
const (
	somebodyID   recovery.AccountID = "0190f3a4-0000-7000-8000-000000000001"
	otherID      recovery.AccountID = "0190f3a4-0000-7000-8000-000000000002"
	standIn      recovery.AccountID = "0190f3a4-0000-7000-8000-00000000000f"
	phone                           = "+8613800001234"
	email                           = "li@example.cn"
	realName                        = "阿依古丽·买买提 Ann"
	residentID                      = "11010519491231002X" // of the standard GB 11643, annex
	codesOnFile                     = 3
	digitsOfCode                    = 6
)

// somebody is a person with an account and everything on file.
type somebody struct {
	id     recovery.AccountID
	hashes []string
	codes  []string
}

func newSomebody(keys channel.Keys, id recovery.AccountID) *somebody {
	s := &somebody{id: id}
	for range codesOnFile {
		code := secret.NewBackupCode()
		canonical, _ := secret.CanonicalBackupCode(code)
		s.codes = append(s.codes, code)
		s.hashes = append(s.hashes, channel.HashBackupCode(keys, id, canonical))
	}
	return s
}

func (s *somebody) Account() recovery.AccountID { return s.id }

func (s *somebody) Contact(kind recovery.ContactKind) (recovery.Contact, bool) {
	switch kind {
	case recovery.ContactPhone:
		return recovery.Contact{ID: "p", Kind: kind, Value: phone}, true
	case recovery.ContactEmail:
		return recovery.Contact{ID: "e", Kind: kind, Value: email}, true
	}
	return recovery.Contact{}, false
}

func (s *somebody) Fact(kind string) (string, bool) {
	value, ok := map[string]string{channel.FactRealName: realName, channel.FactResidentID: residentID}[kind]
	return value, ok
}

func (s *somebody) BackupCodes() []string { return s.hashes }

// String discloses nothing.
func (s *somebody) String() string { return "somebody" }

// GoString discloses nothing.
func (s *somebody) GoString() string { return "somebody" }

// counting counts the keyed hashes that a channel computes: its path.
type counting struct {
	*seal.Keyring
	macs, comparisons int
}

func (c *counting) Mac(purpose string, parts ...string) string {
	c.macs++
	return c.Keyring.Mac(purpose, parts...)
}

func (c *counting) MacEqual(mac, purpose string, parts ...string) bool {
	c.comparisons++
	return c.Keyring.MacEqual(mac, purpose, parts...)
}

var keyring = sync.OnceValues(func() (*seal.Keyring, error) {
	text, err := seal.Generate("wanbi.test/channels")
	if err != nil {
		return nil, err
	}
	return seal.Parse(text)
})

func newKeys(t testing.TB) *counting {
	t.Helper()
	keys, err := keyring()
	if err != nil {
		t.Fatal(err)
	}
	return &counting{Keyring: keys}
}

func get(t testing.TB, name string) channel.Channel {
	t.Helper()
	c, ok := channel.Get(name)
	if !ok {
		t.Fatalf("no channel is called %q", name)
	}
	return c
}

// begun is a challenge that was started.
type begun struct {
	channel.Challenge
	keys       *counting
	deliveries []channel.Delivery
}

func begin(t testing.TB, c channel.Channel, facts channel.Facts, keys *counting) begun {
	t.Helper()
	claim := channel.Claim{
		Realm: "realm-1", Case: "case-1", Challenge: "challenge-1", Destination: "destination-1", Digits: digitsOfCode,
		Facts: facts, Keys: keys,
	}
	data, deliveries, err := c.Start(context.Background(), claim)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return begun{channel.Challenge{Claim: claim, Data: data}, keys, deliveries}
}

// Started starts a challenge of the channel for somebody who has everything on
// file, and gives the answer that passes.
func Started(t testing.TB, name string) (channel.Channel, channel.Challenge, channel.Answer) {
	t.Helper()
	c, keys := get(t, name), newKeys(t)
	who := newSomebody(keys, somebodyID)
	b := begin(t, c, who, keys)
	return c, b.Challenge, answering(t, name).right(who, b.deliveries)
}
