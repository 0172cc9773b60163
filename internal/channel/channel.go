// Package channel holds the ways to prove, one file each. A channel checks; it
// never decides, stores or sends.
//
// Adding one means adding a file that registers itself and passes the contract
// of package channeltest.
//
// Trust: a channel sees the account's facts and the claimant's answer at the
// same time, so nothing it returns or prints may hold either. An answer counts
// for one challenge only: what Check compares is bound to realm, case,
// challenge and destination.
package channel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"

	"github.com/wanbi/wanbi/internal/recovery"
)

// Keys are the keyed hashes that bind an answer to its challenge.
type Keys interface {
	Mac(purpose string, parts ...string) string
	MacEqual(mac, purpose string, parts ...string) bool
}

// Facts reads what is on file about one account. For an identifier without an
// account it is [Nobody], and everything else stays the same.
type Facts interface {
	// Account is the account's ID, or a stand-in that no account has.
	Account() recovery.AccountID
	// Contact gives where messages of the kind go.
	Contact(kind recovery.ContactKind) (recovery.Contact, bool)
	// Fact gives one verified fact: real-name or resident-id.
	Fact(kind string) (string, bool)
	// BackupCodes gives the hashes of the codes that are not used yet.
	BackupCodes() []string
}

// Claim is what a channel starts from.
type Claim struct {
	Realm       recovery.Realm
	Case        recovery.CaseID
	Challenge   recovery.ChallengeID
	Destination string // the counting key of what it reaches or asks about
	Digits      int    // of a code
	Facts       Facts
	Keys        Keys
}

// binding is what every hash of an answer is bound to (T1).
func (c Claim) binding(rest ...string) []string {
	return append([]string{string(c.Realm), string(c.Case), string(c.Challenge), c.Destination}, rest...)
}

// Challenge is a started challenge as it is checked: the same binding, and the
// data that Start gave.
type Challenge struct {
	Claim
	Data []byte
}

// Delivery is a message that has to reach a contact. Args fill the message key's
// placeholders; they hold the code and are sealed wherever they are stored.
type Delivery struct {
	To      recovery.Contact
	Message string
	Args    map[string]string
}

// String gives the kind and the key only.
func (d Delivery) String() string { return fmt.Sprintf("%s %s", d.To.Kind, d.Message) }

// GoString is String, for %#v.
func (d Delivery) GoString() string { return d.String() }

// Answer is what the claimant gave, by field name.
type Answer map[string]string

// String discloses nothing.
func (Answer) String() string { return "answer" }

// GoString discloses nothing.
func (Answer) GoString() string { return "answer" }

// Proof is an accepted answer.
type Proof struct {
	// BackupCode is the hash of the code that this uses up, empty for other channels.
	BackupCode string
}

// Channel is one way to prove.
type Channel interface {
	// Info says what it is; policy reads it.
	Info() recovery.ChannelInfo
	// Start gives the data that Check will need and the messages to deliver.
	Start(ctx context.Context, claim Claim) (data []byte, deliveries []Delivery, err error)
	// Check compares an answer. A wrong one is an error of kind not-proven and
	// costs an attempt; any other error is ours and costs none.
	Check(ctx context.Context, challenge Challenge, answer Answer) (Proof, error)
}

var registered = map[string]Channel{}

func register(c Channel) {
	name := c.Info().Name
	if _, ok := registered[name]; ok {
		panic("channel: two channels are called " + name)
	}
	registered[name] = c
}

// Get gives the channel of that name.
func Get(name string) (Channel, bool) {
	c, ok := registered[name]
	return c, ok
}

// Catalogue gives what every channel says of itself, by name.
func Catalogue() map[string]recovery.ChannelInfo {
	out := make(map[string]recovery.ChannelInfo, len(registered))
	for name, c := range registered {
		out[name] = c.Info()
	}
	return out
}

// Names lists the registered channels in order.
func Names() []string {
	names := make([]string, 0, len(registered))
	for name := range registered {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Nobody stands in for an account that does not exist.
type Nobody struct{ ID recovery.AccountID }

// Account is the stand-in's ID.
func (n Nobody) Account() recovery.AccountID { return n.ID }

// Contact: none.
func (Nobody) Contact(recovery.ContactKind) (recovery.Contact, bool) {
	return recovery.Contact{}, false
}

// Fact: none.
func (Nobody) Fact(string) (string, bool) { return "", false }

// BackupCodes: none.
func (Nobody) BackupCodes() []string { return nil }

// expected is the data of a channel that compares keyed hashes.
type expected struct {
	Hashes []string `json:"h"`
}

func (e expected) encode() ([]byte, error) { return json.Marshal(e) }

func decodeExpected(data []byte) (expected, error) {
	var e expected
	if err := json.Unmarshal(data, &e); err != nil {
		return e, fmt.Errorf("challenge data: %w", err)
	}
	if len(e.Hashes) == 0 {
		return e, errors.New("challenge data: nothing to compare with")
	}
	return e, nil
}
