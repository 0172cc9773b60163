package channel

import "testing"

func TestTwoChannelsOfOneNamePanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("the second one replaced the first")
		}
	}()
	register(emailLink{})
}
