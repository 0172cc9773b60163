package seal

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/tink-crypto/tink-go/v2/prf"

	"github.com/wanbi/wanbi/internal/recovery"
)

// join makes one byte string of parts that no other parts give: each is
// preceded by its length.
func join(parts ...string) []byte {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strconv.Itoa(len(p)))
		b.WriteByte(':')
		b.WriteString(p)
	}
	return []byte(b.String())
}

// Place says where a sealed value stands: its realm, the row that owns it and
// its column. A value moved to another place does not open.
type Place struct {
	Realm  recovery.Realm
	Owner  string // the row's shard key and ID
	Column string // table.column
}

// Seal encrypts plain for one place.
func (k *Keyring) Seal(at Place, plain []byte) ([]byte, error) {
	primitive, err := k.use().aead(at.Realm)
	if err != nil {
		return nil, err
	}
	return primitive.Encrypt(plain, join(string(at.Realm), at.Owner, at.Column))
}

// Open decrypts what Seal made for the same place.
func (k *Keyring) Open(at Place, sealed []byte) ([]byte, error) {
	primitive, err := k.use().aead(at.Realm)
	if err != nil {
		return nil, err
	}
	plain, err := primitive.Decrypt(sealed, join(string(at.Realm), at.Owner, at.Column))
	if err != nil {
		return nil, fmt.Errorf("open %s: wrong key or moved value", at.Column)
	}
	return plain, nil
}

func compute(set *prf.Set, length uint32, parts ...string) []byte {
	sum, err := set.ComputePrimaryPRF(join(parts...), length)
	if err != nil {
		panic("seal: a PRF of fixed length failed: " + err.Error()) // only a length beyond 32 bytes can
	}
	return sum
}

// Subject names what a case is about: 32 hex digits (128 bit). Its key is never replaced.
func (k *Keyring) Subject(realm recovery.Realm, id recovery.Identifier) recovery.Subject {
	return recovery.Subject(hex.EncodeToString(compute(k.use().subject, 16, "subject", string(realm), string(id.Kind), id.Value)))
}

// CountKey is the name of a counter: a keyed hash, so that the table discloses
// nobody, under the key that is never replaced, so that a new key gives no attempts back.
func (k *Keyring) CountKey(parts ...string) string {
	return hex.EncodeToString(compute(k.use().subject, 16, append([]string{"count"}, parts...)...))
}

// Index gives the blind indexes of a value: the current version's first, then
// those of the other versions, which are read during a rotation. Each is the
// version in 8 hex digits and the keyed hash in 32 (128 bit).
func (k *Keyring) Index(realm recovery.Realm, kind, value string) []string {
	set := k.use().index
	ids := make([]uint32, 0, len(set.PRFs))
	for id := range set.PRFs {
		if id != set.PrimaryID {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	input := join("index", string(realm), kind, value)
	out := make([]string, 0, len(ids)+1)
	for _, id := range append([]uint32{set.PrimaryID}, ids...) {
		sum, err := set.PRFs[id].ComputePRF(input, 16)
		if err != nil {
			panic("seal: a PRF of fixed length failed: " + err.Error())
		}
		out = append(out, hex.EncodeToString(append(binary.BigEndian.AppendUint32(make([]byte, 0, 20), id), sum...)))
	}
	return out
}

// Mac authenticates parts for one purpose: 256 bit in base64url after the key's
// ID, so that it can be recomputed after the key was replaced.
func (k *Keyring) Mac(purpose string, parts ...string) string {
	held := k.use()
	return held.macWith(held.hash.PrimaryID, purpose, parts...)
}

func (k *keys) macWith(id uint32, purpose string, parts ...string) string {
	primitive, ok := k.hash.PRFs[id]
	if !ok {
		return ""
	}
	sum, err := primitive.ComputePRF(join(append([]string{"mac", purpose}, parts...)...), 32)
	if err != nil {
		panic("seal: a PRF of fixed length failed: " + err.Error())
	}
	return strconv.FormatUint(uint64(id), 36) + "." + base64.RawURLEncoding.EncodeToString(sum)
}

// MacEqual reports, in constant time, whether mac is that of the parts.
func (k *Keyring) MacEqual(mac, purpose string, parts ...string) bool {
	prefix, _, ok := strings.Cut(mac, ".")
	if !ok {
		return false
	}
	id, err := strconv.ParseUint(prefix, 36, 32)
	if err != nil {
		return false
	}
	want := k.use().macWith(uint32(id), purpose, parts...)
	return want != "" && hmac.Equal([]byte(want), []byte(mac))
}

// CurrentPepper names the pepper that new hashes are made with.
func (k *Keyring) CurrentPepper() string {
	return strconv.FormatUint(uint64(k.use().hash.PrimaryID), 36)
}

// Pepper keys data before it is hashed; 32 bytes. An unknown id is an error.
func (k *Keyring) Pepper(id string, data []byte) ([]byte, error) {
	number, err := strconv.ParseUint(id, 36, 32)
	if err != nil {
		return nil, errors.New("no such pepper")
	}
	primitive, ok := k.use().hash.PRFs[uint32(number)]
	if !ok {
		return nil, errors.New("no such pepper")
	}
	return primitive.ComputePRF(join("pepper", string(data)), 32)
}

// SealID gives the external form of an ID: it carries its shard key, reveals
// neither and cannot be made up. The same input gives the same ID. shard is a
// subject (32 hex digits) or an account (UUID); extra may be empty.
func (k *Keyring) SealID(purpose, shard, id string, extra []byte) (string, error) {
	rawShard, err := packID(shard)
	if err != nil {
		return "", err
	}
	rawID, err := packID(id)
	if err != nil {
		return "", err
	}
	plain := append(append(append(make([]byte, 0, 32+len(extra)), rawShard...), rawID...), extra...)
	sealed, err := k.use().ids.EncryptDeterministically(plain, []byte(purpose))
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// OpenedID is what an external ID carries.
type OpenedID struct {
	Shard [16]byte
	ID    string // UUID
	Extra []byte
}

// Subject reads the shard key as a subject.
func (o OpenedID) Subject() recovery.Subject { return recovery.Subject(hex.EncodeToString(o.Shard[:])) }

// Account reads the shard key as an account.
func (o OpenedID) Account() recovery.AccountID {
	return recovery.AccountID(uuid.UUID(o.Shard).String())
}

// OpenID reads what SealID made for the same purpose; false for anything else.
func (k *Keyring) OpenID(purpose, external string) (OpenedID, bool) {
	if len(external) > 512 {
		return OpenedID{}, false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(external)
	if err != nil || base64.RawURLEncoding.EncodeToString(sealed) != external { // one ID has one form
		return OpenedID{}, false
	}
	plain, err := k.use().ids.DecryptDeterministically(sealed, []byte(purpose))
	if err != nil || len(plain) < 32 {
		return OpenedID{}, false
	}
	return OpenedID{Shard: [16]byte(plain[:16]), ID: uuid.UUID(plain[16:32]).String(), Extra: plain[32:]}, true
}

// packID reads 32 hex digits or a UUID as 16 bytes.
func packID(id string) ([]byte, error) {
	raw, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	if err != nil || len(raw) != 16 {
		return nil, errors.New("seal: not a 128-bit ID")
	}
	return raw, nil
}
