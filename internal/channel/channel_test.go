package channel_test

import (
	"context"
	"slices"
	"testing"

	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/channel/channeltest"
	"github.com/wanbi/wanbi/internal/recovery"
)

func TestEveryChannelKeepsTheContract(t *testing.T) {
	names := channel.Names()
	if len(names) == 0 || !slices.IsSorted(names) {
		t.Fatalf("the channels are %v", names)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) { channeltest.Contract(t, name) })
	}
}

func TestTheCatalogueHoldsEveryChannel(t *testing.T) {
	catalogue := channel.Catalogue()
	for _, name := range channel.Names() {
		if _, ok := channel.Get(name); !ok || catalogue[name].Name != name {
			t.Errorf("%s is in the list and not in the catalogue", name)
		}
	}
	if _, ok := channel.Get("no-such-channel"); ok || len(catalogue) != len(channel.Names()) {
		t.Error("the catalogue holds what is not registered")
	}
}

// Two codes never agree by their position in a message, and a name is the same
// in every form that people write.
func TestCanonicalName(t *testing.T) {
	for name, want := range map[string]string{
		"李伟": "李伟", " 李　伟 ": "李伟", "Ann LI": "annli", "ＡＮＮ": "ann",
		"买买提·阿依": "买买提·阿依", "买买提•阿依": "买买提·阿依", "买买提・阿依": "买买提·阿依", "买买提.阿依": "买买提·阿依", "买买提．阿依": "买买提·阿依", "买买提‧阿依": "买买提·阿依",
		"": "", "  ": "",
	} {
		if got := channel.CanonicalName(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
		if again := channel.CanonicalName(want); again != want {
			t.Errorf("%q does not stay as it is: %q", want, again)
		}
	}
}

// Whatever is typed, a channel neither breaks nor takes it for the right answer,
// and what it takes for wrong costs an attempt.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"", "123456", "１２３ ４５６", "11010519491231002x", "阿依古丽·买买提 Ann", "\x00", "\xff", "0000-0000-0000-0000-0000-0000-00"} {
		f.Add(seed, seed)
	}
	type one struct {
		c         channel.Channel
		challenge channel.Challenge
		right     channel.Answer
	}
	var all []one
	for _, name := range channel.Names() {
		c, challenge, right := channeltest.Started(f, name)
		all = append(all, one{c, challenge, right})
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		for _, o := range all {
			given := channel.Answer{"code": first, "secret": first, "name": first, "resident-id": second}
			proof, err := o.c.Check(context.Background(), o.challenge, given)
			if err == nil {
				if !typedRight(o.right, given) {
					t.Errorf("%s takes %q and %q", o.c.Info().Name, first, second)
				}
				continue
			}
			if !recovery.IsKind(err, recovery.KindNotProven) || proof != (channel.Proof{}) {
				t.Errorf("%s: %v", o.c.Info().Name, err)
			}
		}
	})
}

// typedRight reports whether the given fields could be the right ones: the facts
// of the person are known to the fuzzer's seeds, codes cannot be.
func typedRight(right, given channel.Answer) bool {
	name, ok := right["name"]
	return ok && channel.CanonicalName(given["name"]) == channel.CanonicalName(name)
}
