package secret

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"

	"github.com/wanbi/wanbi/internal/recovery"
)

// fixedPepper keys by the id itself; the ids it knows come after the current one.
type fixedPepper []string

func (p fixedPepper) CurrentPepper() string { return p[0] }

func (p fixedPepper) Pepper(id string, data []byte) ([]byte, error) {
	for _, known := range p {
		if id == known {
			mac := hmac.New(sha256.New, []byte(id))
			mac.Write(data)
			return mac.Sum(nil), nil
		}
	}
	return nil, errors.New("no such key")
}

// cheap makes the tests quick; what it leaves out is only work.
var cheap = Params{Memory: 64, Time: 1, Threads: 1}

const binding = "account-1 password"

func mustHash(t *testing.T, h *Hasher, secret, binding string) string {
	t.Helper()
	stored, err := h.Hash(t.Context(), secret, binding)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func TestHashForm(t *testing.T) {
	stored := mustHash(t, NewHasher(fixedPepper{"2026-03"}, Params{}), "kumquat-9-tapir", binding)
	if !strings.HasPrefix(stored, "$argon2id$v=19$m=19456,t=2,p=1,k=2026-03$") {
		t.Errorf("%s", stored)
	}
	if e, err := parse(stored); err != nil || len(e.salt) != 16 || len(e.hash) != 32 {
		t.Errorf("%+v %v", e, err)
	}
	// Known answer, put together by hand: the definition of what is hashed.
	mac, err := fixedPepper{"k1"}.Pepper("k1", []byte("account-1 password\x00caf\u00e9 kumquat"))
	if err != nil {
		t.Fatal(err)
	}
	salt := []byte("sixteen byte slt")
	byHand := encoded{Params: cheap, pepper: "k1", salt: salt, hash: argon2.IDKey(mac, salt, 1, 64, 1, 32)}
	ok, upgrade, err := NewHasher(fixedPepper{"k1"}, cheap).
		Verify(t.Context(), byHand.format(), "cafe\u0301 kumquat", binding) // typed as two code points
	if !ok || upgrade || err != nil {
		t.Errorf("%v %v %v", ok, upgrade, err)
	}
}

func TestVerify(t *testing.T) {
	h := NewHasher(fixedPepper{"k1"}, cheap)
	stored := mustHash(t, h, "kumquat-9-tapir", binding)
	if mustHash(t, h, "kumquat-9-tapir", binding) == stored {
		t.Error("two hashes of one secret are alike: no salt")
	}
	for _, c := range []struct {
		name, secret, binding string
		want                  bool
	}{
		{"right", "kumquat-9-tapir", binding, true},
		{"wrong", "kumquat-9-tapiR", binding, false},
		{"empty", "", binding, false},
		{"another account", "kumquat-9-tapir", "account-2 password", false},
		{"another kind", "kumquat-9-tapir", "account-1 pin", false},
		{"the border moved", "password\x00kumquat-9-tapir", "account-1 ", false},
		{"longer than is hashed", strings.Repeat("x", maxSecret+1), binding, false},
	} {
		if ok, upgrade, err := h.Verify(t.Context(), stored, c.secret, c.binding); ok != c.want || upgrade || err != nil {
			t.Errorf("%s: %v %v %v", c.name, ok, upgrade, err)
		}
	}
}

func TestVerifyUpgrades(t *testing.T) {
	old := mustHash(t, NewHasher(fixedPepper{"k1"}, cheap), "kumquat-9-tapir", binding)
	for name, h := range map[string]*Hasher{
		"pepper": NewHasher(fixedPepper{"k2", "k1"}, cheap),
		"memory": NewHasher(fixedPepper{"k1"}, Params{Memory: 65, Time: 1, Threads: 1}),
		"passes": NewHasher(fixedPepper{"k1"}, Params{Memory: 64, Time: 2, Threads: 1}),
	} {
		if ok, upgrade, err := h.Verify(t.Context(), old, "kumquat-9-tapir", binding); !ok || !upgrade || err != nil {
			t.Errorf("%s: %v %v %v", name, ok, upgrade, err)
		}
		if ok, upgrade, err := h.Verify(t.Context(), old, "wrong", binding); ok || upgrade || err != nil {
			t.Errorf("%s, wrong secret: %v %v %v", name, ok, upgrade, err)
		}
		renewed := mustHash(t, h, "kumquat-9-tapir", binding)
		if ok, upgrade, err := h.Verify(t.Context(), renewed, "kumquat-9-tapir", binding); !ok || upgrade || err != nil {
			t.Errorf("%s, renewed: %v %v %v", name, ok, upgrade, err)
		}
	}
	_, _, err := NewHasher(fixedPepper{"k2"}, cheap).Verify(t.Context(), old, "kumquat-9-tapir", binding)
	if !recovery.IsKind(err, recovery.KindInternal) {
		t.Errorf("a pepper that is gone: %v", err)
	}
}

// Known answers of other implementations: the Argon2 reference's test.c and
// Openwall's crypt_blowfish.
func TestVerifyImported(t *testing.T) {
	h := NewHasher(fixedPepper{"k1"}, cheap)
	const blowfish = "05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
	for _, c := range []struct{ stored, secret string }{
		{"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"},
		{"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"},
		{"$2a$" + blowfish, "U*U"},
		{"$2b$" + blowfish, "U*U"},
		{"$2y$" + blowfish, "U*U"},
	} {
		if ok, upgrade, err := h.Verify(t.Context(), c.stored, c.secret, "whatever"); !ok || !upgrade || err != nil {
			t.Errorf("%s: %v %v %v", c.stored, ok, upgrade, err)
		}
		if ok, upgrade, err := h.Verify(t.Context(), c.stored, c.secret+"x", "whatever"); ok || upgrade || err != nil {
			t.Errorf("%s, wrong secret: %v %v %v", c.stored, ok, upgrade, err)
		}
	}
	// Hashed elsewhere after NFC, typed here as two code points.
	salt := []byte("somesalt")
	composed := encoded{Params: cheap, salt: salt, hash: argon2.IDKey([]byte("caf\u00e9"), salt, 1, 64, 1, 32)}
	if ok, _, err := h.Verify(t.Context(), composed.format(), "cafe\u0301", ""); !ok || err != nil {
		t.Errorf("composed: %v %v", ok, err)
	}
}

func TestVerifyRefusesWhatCannotBeRead(t *testing.T) {
	h := NewHasher(fixedPepper{"k1"}, cheap)
	argon := func(params string) string {
		return "$argon2id$v=19$" + params + "$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	}
	for _, stored := range []string{
		"", "kumquat", "$", "$argon2id$", "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg",
		argon("m=262145,t=1,p=1"), argon("m=4294967295,t=1,p=1"), argon("m=65536,t=17,p=1"), argon("m=262144,t=5,p=1"),
		argon("m=64,t=1,p=17"), argon("m=64,t=1,p=257"), argon("m=64,t=0,p=1"), argon("m=64,t=1,p=0"), argon("m=7,t=1,p=1"), argon("m=127,t=1,p=16"),
		argon("m=064,t=1,p=1"), argon("m=+64,t=1,p=1"), argon("t=1,m=64,p=1"), argon("m=64,t=1"), argon("m=64,t=1,p=1,k="),
		argon("m=64,t=1,p=1,k=k1,k=k1"), argon("m=64,t=1,p=1,k=a b"), argon("m=64,t=1,p=1,data=AAAA"), argon("m=64,t=1,p=1,k=unknown"),
		"$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2id$v=19$m=64,t=1,p=1$c2FsdA$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$",
		argon("m=64,t=1,p=1") + "\n", argon("m=64,t=1,p=1") + "=", argon("m=64,t=1,p=1") + "$x",
		"$2a$15$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "$2a$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$2a$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe",
	} {
		ok, upgrade, err := h.Verify(t.Context(), stored, "password", binding)
		if ok || upgrade || !recovery.IsKind(err, recovery.KindInternal) {
			t.Errorf("%q: %v %v %v", stored, ok, upgrade, err)
			continue
		}
		if text := err.Error(); strings.Contains(text, "c29t") || strings.Contains(text, "CCCC") || strings.Contains(text, "password") {
			t.Errorf("the error quotes what is stored: %s", text)
		}
	}
	// The last of each bound that works.
	for _, params := range []string{"m=65536,t=16,p=1", "m=262144,t=4,p=1", "m=8,t=1,p=1", "m=128,t=1,p=16"} {
		if _, err := parse(argon(params)); err != nil {
			t.Errorf("%s: %v", params, err)
		}
	}
}

func TestHashLengthBoundary(t *testing.T) {
	h := NewHasher(fixedPepper{"k1"}, cheap)
	mustHash(t, h, strings.Repeat("x", maxSecret), binding)
	_, err := h.Hash(t.Context(), strings.Repeat("x", maxSecret+1), binding)
	if !recovery.IsKind(err, recovery.KindBadInput) {
		t.Errorf("%v", err)
	}
}

func TestHashRefusesAmbiguity(t *testing.T) {
	if _, err := NewHasher(fixedPepper{"k1"}, cheap).Hash(t.Context(), "kumquat", "a\x00b"); err == nil {
		t.Error("a binding with a zero byte")
	}
	if _, err := NewHasher(fixedPepper{"k$1"}, cheap).Hash(t.Context(), "kumquat", binding); err == nil {
		t.Error("a pepper id that a hash cannot carry")
	}
	if _, err := NewHasher(shortPepper{}, cheap).Hash(t.Context(), "kumquat", binding); err == nil {
		t.Error("a MAC of 15 bytes")
	}
}

type shortPepper struct{}

func (shortPepper) CurrentPepper() string                 { return "k1" }
func (shortPepper) Pepper(string, []byte) ([]byte, error) { return make([]byte, 15), nil }

func TestDummyAndBusy(t *testing.T) {
	h := NewHasher(fixedPepper{"k1"}, cheap)
	if err := h.Dummy(t.Context(), "kumquat"); err != nil {
		t.Errorf("%v", err)
	}
	// All cores are taken and the caller has gone.
	if err := h.cores.Acquire(t.Context(), h.total); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"dummy":  h.Dummy(gone, "kumquat"),
		"hash":   second(h.Hash(gone, "kumquat", binding)),
		"verify": third(h.Verify(gone, "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", binding)),
	} {
		if e := recovery.AsError(err); e == nil || e.Kind != recovery.KindUnavailable || e.RetryAfter <= 0 {
			t.Errorf("%s while busy: %v", name, err)
		}
	}
	// A hash for more threads than there are cores takes them all and still runs.
	h.cores.Release(h.total)
	wide := NewHasher(fixedPepper{"k1"}, Params{Memory: 128, Time: 1, Threads: 16})
	if ok, _, err := wide.Verify(t.Context(), mustHash(t, wide, "kumquat", binding), "kumquat", binding); !ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
}

func second(_ string, err error) error      { return err }
func third(_ bool, _ bool, err error) error { return err }

// countingPepper counts MACs: one for each comparison, whatever the outcome.
type countingPepper struct {
	fixedPepper
	macs *int
}

func (p countingPepper) Pepper(id string, data []byte) ([]byte, error) {
	*p.macs++
	return p.fixedPepper.Pepper(id, data)
}

func TestDummyDoesTheSameWork(t *testing.T) {
	var macs int
	h := NewHasher(countingPepper{fixedPepper{"k1"}, &macs}, cheap)
	stored := mustHash(t, h, "kumquat", binding)
	for name, do := range map[string]func() error{
		"right": func() error { return third(h.Verify(t.Context(), stored, "kumquat", binding)) },
		"wrong": func() error { return third(h.Verify(t.Context(), stored, "tapir", binding)) },
		"dummy": func() error { return h.Dummy(t.Context(), "tapir") },
		"long":  func() error { return h.Dummy(t.Context(), strings.Repeat("x", maxSecret+1)) },
	} {
		macs = 0
		if err := do(); err != nil || macs != 1 {
			t.Errorf("%s: %d MACs, %v", name, macs, err)
		}
	}
}

func TestNewHasherRefusesParams(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("params that cannot be read back")
		}
	}()
	NewHasher(fixedPepper{"k1"}, Params{Memory: maxMemory + 1, Time: 1, Threads: 1})
}

func TestNothingPrints(t *testing.T) {
	h := NewHasher(fixedPepper{"k1"}, cheap)
	_, err := h.Hash(t.Context(), "kumquat", "a\x00b")
	for _, text := range []string{fmt.Sprint(err), fmt.Sprintf("%+v", err), fmt.Sprintf("%v", Rules{}.Check("kumquat", nil))} {
		if strings.Contains(text, "kumquat") {
			t.Errorf("%s", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	f.Add("$argon2id$v=19$m=64,t=1,p=1,k=k1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	f.Fuzz(func(t *testing.T, stored string) {
		e, err := parse(stored)
		if err == nil && (e.format() != stored || e.Memory > maxMemory || e.Memory*e.Time > maxWork) {
			t.Errorf("%q → %q", stored, e.format())
		}
	})
}

func BenchmarkHash(b *testing.B) {
	h := NewHasher(fixedPepper{"k1"}, Params{})
	stored, err := h.Hash(b.Context(), "kumquat-9-tapir", binding)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := h.Verify(b.Context(), stored, "kumquat-9-tapir", binding); err != nil {
			b.Fatal(err)
		}
	}
}
