package seal

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tink-crypto/tink-go/v2/prf"
)

// Replace puts the keys of next in the place of those in force, in one step:
// each call before it used the old ones, each call after it uses the new. It
// refuses, and changes nothing, when next is of another installation, lacks what
// is in use now, or has another key under a version that both have, as after
// rotating a file on two machines.
func (k *Keyring) Replace(next *Keyring) error {
	for {
		now, then := k.use(), next.use()
		if err := now.replaceable(then); err != nil {
			return err
		}
		if k.held.CompareAndSwap(now, then) {
			return nil
		}
	}
}

func (k *keys) replaceable(then *keys) error {
	const sample = "wanbi key check"
	if !bytes.Equal(compute(k.subject, 16, sample), compute(then.subject, 16, sample)) || k.logKey != then.logKey || !k.hooks.Equal(then.hooks) {
		return errors.New("the keys are those of another installation")
	}
	for _, name := range Parts {
		if !slices.Contains(then.versions[name].all, k.versions[name].current) {
			return fmt.Errorf("the file lacks version %s of %s, which is in use", k.versions[name].current, name)
		}
	}
	for _, pair := range []struct {
		name string
		a, b *prf.Set
	}{{"index", k.index, then.index}, {"hash", k.hash, then.hash}} {
		for _, id := range slices.Sorted(maps.Keys(pair.a.PRFs)) {
			other, ok := pair.b.PRFs[id]
			if !ok {
				continue
			}
			one, err := pair.a.PRFs[id].ComputePRF([]byte(sample), 16)
			if err != nil {
				return err
			}
			if two, err := other.ComputePRF([]byte(sample), 16); err != nil || !bytes.Equal(one, two) {
				return fmt.Errorf("version %s of %s is another key than the one in use: was the file rotated on two machines?", Version(id), pair.name)
			}
		}
	}
	one, two := Keyring{}, Keyring{}
	one.held.Store(k)
	two.held.Store(then)
	sealed, err := one.Seal(Place{Column: sample}, nil)
	if err == nil {
		_, err = two.Open(Place{Column: sample}, sealed)
	}
	if err != nil {
		return errors.New("part seal is another key under the version in use")
	}
	const zero = "00000000-0000-0000-0000-000000000000"
	id, err := one.SealID(sample, zero, zero, nil)
	if err != nil {
		return err
	}
	if _, ok := two.OpenID(sample, id); !ok {
		return errors.New("part ids is another key under the version in use")
	}
	return nil
}
