// Package seal keeps what is personal unreadable in the database: it seals
// values, gives blind indexes to look them up by, and derives tokens, codes'
// hashes and external IDs, all from one key file.
//
// Five keys, each for one thing: `seal` (AEAD, one derived key a realm), `index`
// (blind indexes), `subject` (fixed for ever: subjects and counters), `hash`
// (pepper, codes, tokens) and `ids` (deterministic sealing of external IDs); and
// two signing keys, for the audit log and for calls to hosts. The four that can be
// replaced hold several versions each, and a keyring takes up a changed file while
// it is in use ([Keyring.Replace]). Everything that they make names its version.
//
// Trust: whoever holds the key file and the database reads everything; whoever
// holds one of them reads nothing that is personal.
package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/daead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyderivation"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"
	"golang.org/x/mod/sumdb/note"

	"github.com/wanbi/wanbi/internal/recovery"
)

// Keyring holds the keys of one installation. Safe for concurrent use. Each call
// uses the keys of one file, whatever is put in their place meanwhile.
type Keyring struct{ held atomic.Pointer[keys] }

// keys are those of one file. They never change.
type keys struct {
	deriver  keyderivation.KeysetDeriver
	realms   sync.Map // recovery.Realm → tink.AEAD
	index    *prf.Set
	subject  *prf.Set
	hash     *prf.Set
	ids      tink.DeterministicAEAD
	versions map[string]versions // by part, of those in Parts
	promoted map[Version]time.Time
	signer   note.Signer
	logKey   string
	hooks    ed25519.PrivateKey
}

// use gives the keys in force.
func (k *Keyring) use() *keys { return k.held.Load() }

// file is the key file: JSON, readable by its owner only.
type file struct {
	Version int             `json:"version"`
	Seal    json.RawMessage `json:"seal"`
	Index   json.RawMessage `json:"index"`
	Subject json.RawMessage `json:"subject"`
	Hash    json.RawMessage `json:"hash"`
	IDs     json.RawMessage `json:"ids"`
	Log     logKeys         `json:"log"`
	Hooks   []byte          `json:"hooks"` // Ed25519 seed, 32 bytes
	// Promoted says since when each version has been used; the first is not listed.
	Promoted map[Version]time.Time `json:"promoted,omitempty"`
}

type logKeys struct {
	Signer   string `json:"signer"`   // note signer key
	Verifier string `json:"verifier"` // note verifier key, public
}

// fileVersion is the format written by Init.
const fileVersion = 1

// Generate makes a new key file's content. origin names the audit log, in the
// form of a host and path without a scheme (C2SP checkpoint), e.g. id.example.cn/wanbi.
func Generate(origin string) ([]byte, error) {
	out := file{Version: fileVersion}
	var err error
	for _, part := range append(out.parts(), part{"subject", &out.Subject, prfTemplate}) {
		if *part.text, err = newKeyset(part.template); err != nil {
			return nil, err
		}
	}
	if out.Log.Signer, out.Log.Verifier, err = note.GenerateKey(rand.Reader, origin); err != nil {
		return nil, fmt.Errorf("log key: %w", err)
	}
	out.Hooks = make([]byte, ed25519.SeedSize)
	if _, err := rand.Read(out.Hooks); err != nil {
		return nil, err
	}
	return json.MarshalIndent(out, "", "  ")
}

// Load reads a key file. A file that others than its owner can read is refused.
func Load(path string) (*Keyring, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("key file %s is not there: make one with `wanbi keys init %s`", path, path)
	}
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key file %s can be read by others (mode %04o): chmod 600 %s", path, info.Mode().Perm(), path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	keys, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return keys, nil
}

// Parse reads a key file's content. Errors name the part and never its content.
func Parse(text []byte) (*Keyring, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var in file
	if err := decoder.Decode(&in); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("not JSON at byte %d", syntax.Offset)
		}
		return nil, errors.New("not a key file of this program")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("something follows the keys at byte %d", decoder.InputOffset())
	}
	if in.Version != fileVersion {
		return nil, fmt.Errorf("format version %d: this program reads version %d", in.Version, fileVersion)
	}
	k := &keys{versions: map[string]versions{}, promoted: in.Promoted}
	for _, part := range in.parts() {
		var err error
		if k.versions[part.name], err = readVersions(part.name, *part.text); err != nil {
			return nil, err
		}
	}
	sealing, err := readKeyset("seal", in.Seal)
	if err != nil {
		return nil, err
	}
	if k.deriver, err = keyderivation.New(sealing); err != nil {
		return nil, fmt.Errorf("part seal: %w", err)
	}
	for _, part := range []struct {
		name string
		text json.RawMessage
		into **prf.Set
	}{{"index", in.Index, &k.index}, {"subject", in.Subject, &k.subject}, {"hash", in.Hash, &k.hash}} {
		handle, err := readKeyset(part.name, part.text)
		if err != nil {
			return nil, err
		}
		if *part.into, err = prf.NewPRFSet(handle); err != nil {
			return nil, fmt.Errorf("part %s: %w", part.name, err)
		}
	}
	ids, err := readKeyset("ids", in.IDs)
	if err != nil {
		return nil, err
	}
	if k.ids, err = daead.New(ids); err != nil {
		return nil, fmt.Errorf("part ids: %w", err)
	}
	if k.signer, err = note.NewSigner(in.Log.Signer); err != nil {
		return nil, errors.New("part log: not a signer key")
	}
	if err := k.checkLogKey(in.Log.Verifier); err != nil {
		return nil, err
	}
	if len(in.Hooks) != ed25519.SeedSize {
		return nil, errors.New("part hooks: not a 32-byte seed")
	}
	k.hooks = ed25519.NewKeyFromSeed(in.Hooks)
	out := &Keyring{}
	out.held.Store(k)
	return out, nil
}

// checkLogKey takes the public key of the audit log if it is the signer's own:
// with another one, nobody could verify what is signed.
func (k *keys) checkLogKey(text string) error {
	verifier, err := note.NewVerifier(text)
	if err != nil {
		return errors.New("part log: not a verifier key")
	}
	const sample = "wanbi key check\n"
	signature, err := k.signer.Sign([]byte(sample))
	if err != nil || verifier.Name() != k.signer.Name() || !verifier.Verify([]byte(sample), signature) {
		return errors.New("part log: signer and verifier do not belong together")
	}
	k.logKey = text
	return nil
}

func readKeyset(name string, text json.RawMessage) (*keyset.Handle, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(text)))
	if err != nil {
		return nil, fmt.Errorf("part %s: not a keyset", name)
	}
	return handle, nil
}

// String discloses nothing.
func (k *Keyring) String() string { return "keyring" }

// GoString discloses nothing.
func (k *Keyring) GoString() string { return k.String() }

// Signer signs checkpoints of the audit log; its name is the log's origin.
func (k *Keyring) Signer() note.Signer { return k.use().signer }

// LogVerifier is the public key that checkpoints and receipts are verified with.
func (k *Keyring) LogVerifier() string { return k.use().logKey }

// HookKey signs calls to hosts (RFC 9421, Ed25519).
func (k *Keyring) HookKey() ed25519.PrivateKey { return k.use().hooks }

// HookKeyID names HookKey's public half: the first 8 bytes of it in base64url.
func (k *Keyring) HookKeyID() string {
	public, _ := k.use().hooks.Public().(ed25519.PublicKey)
	return base64.RawURLEncoding.EncodeToString(public[:8])
}

func (k *keys) aead(realm recovery.Realm) (tink.AEAD, error) {
	if kept, ok := k.realms.Load(realm); ok {
		return kept.(tink.AEAD), nil
	}
	handle, err := k.deriver.DeriveKeyset([]byte("wanbi realm " + string(realm)))
	if err != nil {
		return nil, err
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, err
	}
	kept, _ := k.realms.LoadOrStore(realm, primitive)
	return kept.(tink.AEAD), nil
}
