package casework

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/directory"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Realm is one tenant: its policy in force and the host behind it.
type Realm struct {
	Policy *policy.Policy
	// Events is where the host wants to be told; empty for nowhere.
	Events string
	// Directory keeps the accounts; nil for the built-in one.
	Directory *directory.Webhook
}

// Realms knows the policies in force and those that running cases began under.
type Realms struct {
	mu       sync.RWMutex
	current  map[recovery.Realm]Realm
	byDigest map[string]*policy.Policy
}

// NewRealms takes the realms in force and stores their policies by digest.
func NewRealms(ctx context.Context, d *store.DB, now time.Time, realms []Realm) (*Realms, error) {
	r := &Realms{current: map[recovery.Realm]Realm{}, byDigest: map[string]*policy.Policy{}}
	for _, realm := range realms {
		id := realm.Policy.Realm.ID
		if other, ok := r.current[id]; ok {
			return nil, fmt.Errorf("two policies for realm %s: %s and %s", id, other.Policy.Name(), realm.Policy.Name())
		}
		r.current[id] = realm
		r.byDigest[realm.Policy.Digest()] = realm.Policy
	}
	return r, d.Write(ctx, func(tx *store.Tx) error {
		for _, realm := range realms {
			p := realm.Policy
			if err := tx.PutPolicy(ctx, db.PutPolicyParams{
				Digest: p.Digest(), Realm: string(p.Realm.ID), Name: p.Name(), Source: p.Source(), LoadedAt: store.Millis(now),
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Get gives a realm in force.
func (r *Realms) Get(id recovery.Realm) (Realm, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	realm, ok := r.current[id]
	return realm, ok
}

// Policy gives the policy in force in a realm.
func (r *Realms) Policy(id recovery.Realm) (*policy.Policy, bool) {
	realm, ok := r.Get(id)
	return realm.Policy, ok
}

// IDs lists the realms in order.
func (r *Realms) IDs() []recovery.Realm {
	r.mu.RLock()
	defer r.mu.RUnlock()
	ids := make([]recovery.Realm, 0, len(r.current))
	for id := range r.current {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	return ids
}

// ByDigest gives the policy that a case began under, from the database when it
// is no longer in force.
func (r *Realms) ByDigest(ctx context.Context, q *db.Queries, digest string) (*policy.Policy, error) {
	r.mu.RLock()
	p, ok := r.byDigest[digest]
	r.mu.RUnlock()
	if ok {
		return p, nil
	}
	row, err := q.GetPolicy(ctx, digest)
	if err != nil {
		return nil, err
	}
	p, err = policy.Load(row.Name, row.Source, channel.Catalogue())
	if err != nil {
		return nil, fmt.Errorf("policy %s of a running case no longer loads: %w", digest, err)
	}
	r.mu.Lock()
	r.byDigest[digest] = p
	r.mu.Unlock()
	return p, nil
}
