package secret

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// The most that a stored hash may cost to compare: an import must not be able
// to stop the server with one row.
const (
	maxMemory     = 256 * 1024  // KiB
	maxTime       = 16          // passes
	maxThreads    = 16          //
	maxWork       = 1024 * 1024 // KiB times passes: about a second of one core
	maxBcryptCost = 14          // about a second of one core
)

// The lengths of salt and hash that are read, in bytes (RFC 9106 §3.1).
const (
	minSalt, maxSalt = 8, 64
	minHash, maxHash = 16, 64
)

var (
	pepperForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	bcryptForm = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)
)

// plainBase64 is PHC's: standard alphabet, no padding, no stray bits.
var plainBase64 = base64.RawStdEncoding.Strict()

// encoded is a hash as it is stored. An empty pepper is an imported hash.
type encoded struct {
	Params
	pepper     string
	salt, hash []byte
}

// format gives the stored form. It is no String, so that nothing prints a hash
// by accident.
func (e encoded) format() string {
	pepper := ""
	if e.pepper != "" {
		pepper = ",k=" + e.pepper
	}
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d%s$%s$%s", argon2.Version, e.Memory, e.Time, e.Threads,
		pepper, plainBase64.EncodeToString(e.salt), plainBase64.EncodeToString(e.hash))
}

// check refuses params that Argon2 has no meaning for or that cost too much.
func (p Params) check() error {
	switch {
	case p.Threads < 1 || p.Threads > maxThreads:
		return errors.New("argon2id threads out of bounds")
	case p.Time < 1 || p.Time > maxTime:
		return errors.New("argon2id passes out of bounds")
	case p.Memory < 8*uint32(p.Threads) || p.Memory > maxMemory: // RFC 9106 §3.1: at least 8p
		return errors.New("argon2id memory out of bounds")
	case p.Memory*p.Time > maxWork:
		return errors.New("argon2id work out of bounds")
	}
	return nil
}

// parse reads a stored argon2id hash strictly: what it accepts is what format
// gives back. Its errors quote nothing.
func parse(stored string) (encoded, error) {
	var e encoded
	parts := strings.Split(stored, "$")
	if len(stored) > 1024 || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" ||
		parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return e, errors.New("not an argon2id hash of version 19")
	}
	fields := strings.Split(parts[3], ",")
	if len(fields) < 3 || len(fields) > 4 {
		return e, errors.New("argon2id parameters: want m, t, p and perhaps k")
	}
	var numbers [3]uint32
	for i, name := range []string{"m=", "t=", "p="} {
		text, found := strings.CutPrefix(fields[i], name)
		n, err := strconv.ParseUint(text, 10, 32)
		if !found || err != nil || strconv.FormatUint(n, 10) != text {
			return e, errors.New("argon2id parameters: want m, t, p as numbers")
		}
		numbers[i] = uint32(n)
	}
	if numbers[2] > maxThreads {
		return e, errors.New("argon2id threads out of bounds")
	}
	e.Params = Params{Memory: numbers[0], Time: numbers[1], Threads: uint8(numbers[2])}
	if err := e.check(); err != nil {
		return e, err
	}
	if len(fields) == 4 {
		id, found := strings.CutPrefix(fields[3], "k=")
		if !found || !pepperForm.MatchString(id) {
			return e, errors.New("argon2id parameters: want k as a pepper's id")
		}
		e.pepper = id
	}
	var err error
	if e.salt, err = plainBase64.DecodeString(parts[4]); err != nil || len(e.salt) < minSalt || len(e.salt) > maxSalt {
		return e, errors.New("argon2id salt out of bounds")
	}
	if e.hash, err = plainBase64.DecodeString(parts[5]); err != nil || len(e.hash) < minHash || len(e.hash) > maxHash {
		return e, errors.New("argon2id hash out of bounds")
	}
	if e.format() != stored { // base 64 skips line ends
		return e, errors.New("not as it was written")
	}
	return e, nil
}

// KnownHash reports whether Verify reads a stored hash of this form.
func KnownHash(stored string) bool {
	if bcryptForm.MatchString(stored) {
		cost, err := bcrypt.Cost([]byte(stored))
		return err == nil && cost <= maxBcryptCost
	}
	_, err := parse(stored)
	return err == nil
}
