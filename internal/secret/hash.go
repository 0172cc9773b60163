package secret

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sync/semaphore"
	"golang.org/x/text/unicode/norm"

	"github.com/wanbi/wanbi/internal/recovery"
)

// Pepper keys the input of a hash with a key that is not in the database.
// Package seal's keyring is one; tests have a fixed one.
type Pepper interface {
	// Pepper gives the MAC of data under the key with this id, at least 16 bytes,
	// always the same; an error when there is no such key.
	Pepper(id string, data []byte) ([]byte, error)
	// CurrentPepper is the id of the key for new hashes: 1 to 64 of letters,
	// digits, . _ and -.
	CurrentPepper() string
}

// Params is the cost of Argon2id. The zero value takes DefaultParams.
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// DefaultParams is OWASP's Password Storage cheat sheet: 19 MiB, two passes, one
// thread.
var DefaultParams = Params{Memory: 19 * 1024, Time: 2, Threads: 1}

const (
	saltLength = 16 // bytes, RFC 9106 §3.1
	hashLength = 32 // bytes
	// maxSecret is the longest secret that is hashed, in bytes; Rules allow far less.
	maxSecret = 4096
)

// busyRetry is when to come back after waiting for a core was cut short.
const busyRetry = time.Second

// Hasher hashes and compares secrets, at most as many at once as there are
// cores, so that a flood of sign-ins exhausts neither memory nor the machine.
// Safe for concurrent use.
type Hasher struct {
	pepper Pepper
	params Params
	cores  *semaphore.Weighted
	total  int64
}

// NewHasher gives a hasher whose new hashes use the current pepper and params.
// It panics on params that Verify would refuse to read back.
func NewHasher(pepper Pepper, params Params) *Hasher {
	if params == (Params{}) {
		params = DefaultParams
	}
	if err := params.check(); err != nil {
		panic("secret: " + err.Error())
	}
	total := int64(runtime.GOMAXPROCS(0))
	return &Hasher{pepper: pepper, params: params, cores: semaphore.NewWeighted(total), total: total}
}

// Hash hashes secret for one place: binding is the account's id and the kind of
// secret, so that a hash copied to another row matches nothing. The result is
// $argon2id$v=19$m=19456,t=2,p=1,k={pepper id}${salt}${hash}, a PHC string with
// a pepper id. Errors: KindBadInput secret.too-long beyond 4096 bytes,
// KindUnavailable when ctx ends while waiting for a core, KindInternal when the
// pepper fails.
func (h *Hasher) Hash(ctx context.Context, secret, binding string) (string, error) {
	if len(secret) > maxSecret {
		return "", recovery.BadInput("secret.too-long").With("max", maxSecret)
	}
	e := encoded{Params: h.params, pepper: h.pepper.CurrentPepper(), salt: make([]byte, saltLength)}
	if !pepperForm.MatchString(e.pepper) {
		return "", recovery.Internal(errors.New("the pepper's id has a form that a hash cannot carry"))
	}
	rand.Read(e.salt) // never fails
	input, err := h.peppered(e.pepper, secret, binding)
	if err != nil {
		return "", err
	}
	if e.hash, err = h.argon(ctx, e, input, hashLength); err != nil {
		return "", err
	}
	return e.format(), nil
}

// Verify compares secret with a stored hash: one of ours, or an imported bcrypt
// ($2a$, $2b$, $2y$) or plain PHC argon2id one, neither of which is bound or
// peppered. upgrade asks the caller to store a new Hash: the secret was right
// and the hash is imported or not made with the current pepper and params. A
// wrong secret is no error. Errors: KindInternal for a stored hash that cannot
// be read or would cost too much, or an unknown pepper; KindUnavailable as for
// [Hasher.Hash]. The time taken depends on the stored hash, not on the secret.
func (h *Hasher) Verify(ctx context.Context, stored, secret, binding string) (ok, upgrade bool, err error) {
	tooLong := len(secret) > maxSecret
	if tooLong {
		secret = "" // compare anyway: the answer takes its usual time
	}
	switch {
	case strings.HasPrefix(stored, "$argon2id$"):
		ok, upgrade, err = h.verifyArgon(ctx, stored, secret, binding)
	case bcryptForm.MatchString(stored):
		ok, err = h.verifyBcrypt(ctx, stored, secret)
		upgrade = true
	default:
		err = recovery.Internal(errors.New("stored hash: neither argon2id nor bcrypt"))
	}
	ok = ok && !tooLong && err == nil
	return ok, ok && upgrade, err
}

// Dummy does the work of one Verify of a current hash and throws it away: what
// an account that does not exist costs (T7). Errors as for [Hasher.Verify].
func (h *Hasher) Dummy(ctx context.Context, secret string) error {
	e := encoded{
		Params: h.params, pepper: h.pepper.CurrentPepper(),
		salt: make([]byte, saltLength), hash: make([]byte, hashLength),
	}
	_, _, err := h.Verify(ctx, e.format(), secret, "")
	return err
}

func (h *Hasher) verifyArgon(ctx context.Context, stored, secret, binding string) (ok, upgrade bool, err error) {
	e, err := parse(stored)
	if err != nil {
		return false, false, recovery.Internal(fmt.Errorf("stored hash: %w", err))
	}
	if e.pepper == "" {
		ok, err = h.anySpelling(secret, func(spelling string) (bool, error) {
			return h.matches(ctx, e, []byte(spelling))
		})
		return ok, true, err
	}
	input, err := h.peppered(e.pepper, secret, binding)
	if err != nil {
		return false, false, err
	}
	ok, err = h.matches(ctx, e, input)
	current := e.Params == h.params && e.pepper == h.pepper.CurrentPepper() &&
		len(e.salt) == saltLength && len(e.hash) == hashLength
	return ok, !current, err
}

func (h *Hasher) verifyBcrypt(ctx context.Context, stored, secret string) (bool, error) {
	if cost, err := bcrypt.Cost([]byte(stored)); err != nil || cost > maxBcryptCost {
		return false, recovery.Internal(errors.New("stored hash: bcrypt cost out of bounds"))
	}
	return h.anySpelling(secret, func(spelling string) (bool, error) {
		release, err := h.acquire(ctx, 1)
		if err != nil {
			return false, err
		}
		defer release()
		err = bcrypt.CompareHashAndPassword([]byte(stored), []byte(spelling))
		if err == nil || errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			return err == nil, nil
		}
		return false, recovery.Internal(fmt.Errorf("stored hash: %w", err))
	})
}

// anySpelling tries a secret as typed and, where it differs, after NFC: other
// systems hashed whatever bytes they were sent.
func (h *Hasher) anySpelling(secret string, matches func(string) (bool, error)) (bool, error) {
	ok, err := matches(secret)
	if normal := norm.NFC.String(secret); err == nil && !ok && normal != secret {
		return matches(normal)
	}
	return ok, err
}

func (h *Hasher) matches(ctx context.Context, e encoded, input []byte) (bool, error) {
	got, err := h.argon(ctx, e, input, uint32(len(e.hash)))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, e.hash) == 1, nil
}

func (h *Hasher) argon(ctx context.Context, e encoded, input []byte, length uint32) ([]byte, error) {
	release, err := h.acquire(ctx, int64(e.Threads))
	if err != nil {
		return nil, err
	}
	defer release()
	return argon2.IDKey(input, e.salt, e.Time, e.Memory, e.Threads, length), nil
}

// acquire waits for n cores, or for all of them where n is more.
func (h *Hasher) acquire(ctx context.Context, n int64) (release func(), err error) {
	n = min(n, h.total)
	if err := h.cores.Acquire(ctx, n); err != nil {
		return nil, recovery.Unavailable("error.unavailable", busyRetry).Because(err)
	}
	return func() { h.cores.Release(n) }, nil
}

// peppered is the Argon2 input: the pepper's MAC of binding, a zero byte and the
// secret after NFC. A binding holds no zero byte, so no two pairs are alike.
func (h *Hasher) peppered(id, secret, binding string) ([]byte, error) {
	if strings.ContainsRune(binding, 0) {
		return nil, recovery.Internal(errors.New("a zero byte in the binding of a secret"))
	}
	data := append([]byte(binding), 0)
	mac, err := h.pepper.Pepper(id, norm.NFC.AppendString(data, secret))
	if err != nil {
		return nil, recovery.Internal(fmt.Errorf("pepper: %w", err))
	}
	if len(mac) < 16 {
		return nil, recovery.Internal(errors.New("pepper: MAC of less than 16 bytes"))
	}
	return mac, nil
}
