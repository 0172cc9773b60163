package seal

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/daead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyderivation"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
)

// Version numbers a generation of the keys that can be replaced: 1 in a new
// file, one more with each rotation. It is the key's ID in each keyset.
type Version uint32

// String gives the number.
func (v Version) String() string { return strconv.FormatUint(uint64(v), 10) }

// Parts are those of a key file that hold several versions.
var Parts = []string{"seal", "index", "hash", "ids"}

// MaxVersions is how many versions of a key may be kept at once. Ours: the
// current one, one before and one after it, and one that is waited for; each
// more would be one more look-up for every name.
const MaxVersions = 4

// part is a keyset within a file.
type part struct {
	name     string
	text     *json.RawMessage
	template func() (*tinkpb.KeyTemplate, error)
}

func prfTemplate() (*tinkpb.KeyTemplate, error) { return prf.HMACSHA256PRFKeyTemplate(), nil }

func daeadTemplate() (*tinkpb.KeyTemplate, error) { return daead.AESSIVKeyTemplate(), nil }

func sealTemplate() (*tinkpb.KeyTemplate, error) {
	return keyderivation.CreatePRFBasedKeyTemplate(prf.HKDFSHA256PRFKeyTemplate(), aead.AES256GCMKeyTemplate())
}

// parts gives the keysets that can be replaced, in the order of Parts.
func (f *file) parts() []part {
	return []part{
		{"seal", &f.Seal, sealTemplate},
		{"index", &f.Index, prfTemplate},
		{"hash", &f.Hash, prfTemplate},
		{"ids", &f.IDs, daeadTemplate},
	}
}

// versions are those of one part, oldest first.
type versions struct {
	all     []Version
	current Version
}

func readVersions(name string, text json.RawMessage) (versions, error) {
	set, err := keyset.NewJSONReader(bytes.NewReader(text)).Read()
	if err != nil || len(set.GetKey()) == 0 {
		return versions{}, fmt.Errorf("part %s: not a keyset", name)
	}
	out := versions{current: Version(set.GetPrimaryKeyId())}
	for _, key := range set.GetKey() {
		out.all = append(out.all, Version(key.GetKeyId()))
	}
	return out, nil
}

// older gives the versions that came before the current one.
func (v versions) older() []Version {
	return v.all[:max(0, slices.Index(v.all, v.current))]
}

// waiting gives the versions that are known and not used yet.
func (v versions) waiting() []Version {
	return v.all[slices.Index(v.all, v.current)+1:]
}

// newKey makes one key as version v.
func newKey(template func() (*tinkpb.KeyTemplate, error), v Version) (*tinkpb.Keyset_Key, error) {
	of, err := template()
	if err != nil {
		return nil, err
	}
	handle, err := keyset.NewHandle(of)
	if err != nil {
		return nil, err
	}
	key := insecurecleartextkeyset.KeysetMaterial(handle).GetKey()[0]
	key.KeyId = uint32(v)
	return key, nil
}

// newKeyset makes a keyset of one key, version 1.
func newKeyset(template func() (*tinkpb.KeyTemplate, error)) (json.RawMessage, error) {
	key, err := newKey(template, 1)
	if err != nil {
		return nil, err
	}
	return writeKeyset(&tinkpb.Keyset{PrimaryKeyId: 1, Key: []*tinkpb.Keyset_Key{key}})
}

func writeKeyset(set *tinkpb.Keyset) (json.RawMessage, error) {
	var buf bytes.Buffer
	err := keyset.NewJSONWriter(&buf).Write(set)
	return buf.Bytes(), err
}

// withKeysets gives a file's content after a change to each of its keysets, checked.
func withKeysets(text []byte, change func(f *file, p part, set *tinkpb.Keyset) error) ([]byte, error) {
	if _, err := Parse(text); err != nil {
		return nil, err
	}
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, errors.New("not a key file of this program")
	}
	for _, p := range f.parts() {
		set, err := keyset.NewJSONReader(bytes.NewReader(*p.text)).Read()
		if err != nil {
			return nil, fmt.Errorf("part %s: not a keyset", p.name)
		}
		if err := change(&f, p, set); err != nil {
			return nil, err
		}
		if *p.text, err = writeKeyset(set); err != nil {
			return nil, fmt.Errorf("part %s: %w", p.name, err)
		}
	}
	out, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, err
	}
	if _, err := Parse(out); err != nil {
		return nil, fmt.Errorf("the changed keys do not work: %w", err)
	}
	return out, nil
}

// Add gives a key file's content with a new version of the keys seal, index,
// hash and ids that is known and not used: nodes that have it read what others
// write with it. The key subject and the two that sign are as before. It refuses
// while a version waits for [Promote], and beyond [MaxVersions].
func Add(text []byte) ([]byte, Version, error) {
	keys, err := Parse(text)
	if err != nil {
		return nil, 0, err
	}
	fresh := Version(0)
	for name, v := range keys.use().versions {
		if len(v.waiting()) > 0 {
			return nil, 0, fmt.Errorf("version %s is not used yet: promote it first", v.waiting()[0])
		}
		if len(v.all) >= MaxVersions {
			return nil, 0, fmt.Errorf("part %s has %d versions, which is the most: retire version %s first", name, len(v.all), v.all[0])
		}
		fresh = max(fresh, slices.Max(v.all))
	}
	if fresh == math.MaxUint32 {
		return nil, 0, errors.New("there is no higher version")
	}
	fresh++
	out, err := withKeysets(text, func(_ *file, p part, set *tinkpb.Keyset) error {
		key, err := newKey(p.template, fresh)
		if err != nil {
			return fmt.Errorf("part %s: %w", p.name, err)
		}
		set.Key = append(set.Key, key)
		return nil
	})
	return out, fresh, err
}

// Promote gives a key file's content in which the version that waits is used
// from now on. The older ones stay, since what they made is still read with them.
func Promote(text []byte, now time.Time) ([]byte, Version, error) {
	keys, err := Parse(text)
	if err != nil {
		return nil, 0, err
	}
	promoted := Version(0)
	for _, v := range keys.use().versions {
		for _, waiting := range v.waiting() {
			promoted = max(promoted, waiting)
		}
	}
	if promoted == 0 {
		return nil, 0, errors.New("no version waits to be used: `wanbi keys rotate` adds one")
	}
	out, err := withKeysets(text, func(f *file, _ part, set *tinkpb.Keyset) error {
		if !slices.ContainsFunc(set.GetKey(), func(k *tinkpb.Keyset_Key) bool { return k.GetKeyId() == uint32(promoted) }) {
			return nil
		}
		set.PrimaryKeyId = uint32(promoted)
		if f.Promoted == nil {
			f.Promoted = map[Version]time.Time{}
		}
		f.Promoted[promoted] = now.UTC().Truncate(time.Second)
		return nil
	})
	return out, promoted, err
}

// Retire gives a key file's content without a version of the named parts: what
// it made cannot be read any more. One that is used, or newer, is refused.
func Retire(text []byte, version Version, parts []string) ([]byte, error) {
	keys, err := Parse(text)
	if err != nil {
		return nil, err
	}
	found := false
	for _, name := range parts {
		v := keys.use().versions[name]
		if slices.Contains(v.all, version) && !slices.Contains(v.older(), version) {
			return nil, fmt.Errorf("version %s of %s is in use or newer than what is used", version, name)
		}
		found = found || slices.Contains(v.all, version)
	}
	if !found {
		return nil, fmt.Errorf("there is no version %s", version)
	}
	return withKeysets(text, func(_ *file, p part, set *tinkpb.Keyset) error {
		if slices.Contains(parts, p.name) {
			set.Key = slices.DeleteFunc(set.Key, func(k *tinkpb.Keyset_Key) bool { return k.GetKeyId() == uint32(version) })
		}
		return nil
	})
}

// Held is one version of the keys in a file.
type Held struct {
	Version Version
	// Since is when it began to be used; zero where the file does not say.
	Since time.Time
	// The parts that have it: used for what is new, only read with, or not used yet.
	Current, Old, Waiting []string
}

// Versions gives what the file holds, oldest first.
func (k *Keyring) Versions() []Held {
	held := k.use()
	all := map[Version]*Held{}
	var order []Version
	for _, name := range Parts {
		v := held.versions[name]
		for i, version := range v.all {
			h, ok := all[version]
			if !ok {
				h = &Held{Version: version, Since: held.promoted[version]}
				all[version] = h
				order = append(order, version)
			}
			switch current := slices.Index(v.all, v.current); {
			case i < current:
				h.Old = append(h.Old, name)
			case i > current:
				h.Waiting = append(h.Waiting, name)
			default:
				h.Current = append(h.Current, name)
			}
		}
	}
	slices.SortStableFunc(order, func(a, b Version) int { return rank(*all[a]) - rank(*all[b]) })
	out := make([]Held, 0, len(order))
	for _, version := range order {
		out = append(out, *all[version])
	}
	return out
}

// rank sorts what is old before what is used and that before what waits.
func rank(h Held) int {
	switch {
	case len(h.Current) > 0:
		return 1
	case len(h.Waiting) > 0:
		return 2
	}
	return 0
}

// Current is the version that a part uses for what is new.
func (k *Keyring) Current(part string) Version { return k.use().versions[part].current }

// Older gives the versions of a part that came before the current one.
func (k *Keyring) Older(part string) []Version { return slices.Clone(k.use().versions[part].older()) }

// Has reports whether a part has a version.
func (k *Keyring) Has(part string, v Version) bool {
	return slices.Contains(k.use().versions[part].all, v)
}

// Knows reports whether a sealed value names a version that is held. One that
// does and still does not open was changed or moved.
func (k *Keyring) Knows(sealed []byte) bool {
	return len(sealed) < 5 || slices.ContainsFunc(k.use().versions["seal"].all, func(v Version) bool { return bytes.HasPrefix(sealed, sealedPrefix(v)) })
}

// sealedPrefix is what a sealed value begins with: Tink's output prefix, a byte
// 1 and the key's ID.
func sealedPrefix(v Version) []byte {
	return []byte{1, byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
}

// indexPrefix is what a blind index begins with.
func indexPrefix(v Version) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint32(nil, uint32(v)))
}

// hashPrefix is what a MAC begins with.
func hashPrefix(v Version) string { return strconv.FormatUint(uint64(v), 36) + "." }

// Prefixes give what stands before everything that a version made: sealed
// values, blind indexes, MACs, and the pepper in a hash.
func (v Version) Prefixes() (sealed []byte, index, mac, pepper string) {
	return sealedPrefix(v), indexPrefix(v), hashPrefix(v), strconv.FormatUint(uint64(v), 36)
}
