package host

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

const (
	purposeKey = "api-key"
	keyPrefix  = "wk_"
	// keyBytes is the size of a key's secret part: 256 bit.
	keyBytes = 32
)

// splitKey reads wk_<id>_<secret>. The secret part may hold underscores itself.
func splitKey(bearer string) (id, part string, ok bool) {
	rest, ok := strings.CutPrefix(bearer, keyPrefix)
	if !ok || len(bearer) > 200 {
		return "", "", false
	}
	id, part, ok = strings.Cut(rest, "_")
	return id, part, ok && id != "" && part != ""
}

// Key is an API key as it is listed: never its secret.
type Key struct {
	ID        string
	Realm     recovery.Realm
	Name      string
	Scopes    []Scope
	CreatedAt time.Time
	RevokedAt time.Time // zero while it works
}

// MintKey makes an API key for a realm and gives it this once: what is stored is
// a keyed hash that is bound to realm and scopes, so that neither can be changed
// behind it. It is for operators; no host can reach it.
func (d *Door) MintKey(ctx context.Context, realm recovery.Realm, name string, scopes []Scope) (string, error) {
	if _, ok := d.Realms.Policy(realm); !ok {
		return "", recovery.NotFound("error.realm.unknown")
	}
	if name == "" || len(name) > 100 {
		return "", recovery.BadInput("error.key.name").At("name")
	}
	if len(scopes) == 0 {
		return "", recovery.BadInput("error.key.scopes").At("scopes")
	}
	var words []string
	for _, scope := range Scopes { // in a fixed order, each once
		if slices.Contains(scopes, scope) {
			words = append(words, string(scope))
		}
	}
	for _, scope := range scopes {
		if !slices.Contains(Scopes, scope) {
			return "", recovery.BadInput("error.key.scopes").At("scopes")
		}
	}
	raw, err := uuid.NewV7()
	if err != nil {
		return "", recovery.Internal(err)
	}
	id := hex.EncodeToString(raw[:])
	random := make([]byte, keyBytes)
	if _, err := rand.Read(random); err != nil {
		return "", recovery.Internal(err)
	}
	part := base64.RawURLEncoding.EncodeToString(random)
	all := strings.Join(words, " ")
	err = d.DB.Write(ctx, func(tx *store.Tx) error {
		return tx.InsertAPIKey(ctx, db.InsertAPIKeyParams{
			ID: id, Realm: string(realm), Name: name, Hash: d.Keys.Mac(purposeKey, id, string(realm), all, part),
			Scopes: all, CreatedAt: store.Millis(d.Now()),
		})
	})
	if err != nil {
		return "", err
	}
	return keyPrefix + id + "_" + part, nil
}

// ListKeys lists a realm's keys, oldest first, revoked ones too.
func (d *Door) ListKeys(ctx context.Context, realm recovery.Realm) ([]Key, error) {
	var out []Key
	err := d.DB.Read(ctx, func(q *db.Queries) error {
		rows, err := q.ListAPIKeys(ctx, string(realm))
		for _, row := range rows {
			key := Key{
				ID: row.ID, Realm: recovery.Realm(row.Realm), Name: row.Name,
				CreatedAt: store.Time(row.CreatedAt), RevokedAt: store.Time(row.RevokedAt),
			}
			for _, word := range strings.Fields(row.Scopes) {
				key.Scopes = append(key.Scopes, Scope(word))
			}
			out = append(out, key)
		}
		return err
	})
	return out, err
}

// RevokeKey ends a key at once. One that is not there, or is revoked already, is
// an error of kind not-found.
func (d *Door) RevokeKey(ctx context.Context, id string) error {
	return d.DB.Write(ctx, func(tx *store.Tx) error {
		rows, err := tx.RevokeAPIKey(ctx, db.RevokeAPIKeyParams{ID: id, RevokedAt: store.Millis(d.Now())})
		if err == nil && rows == 0 {
			return recovery.NotFound("error.key.gone")
		}
		return err
	})
}
