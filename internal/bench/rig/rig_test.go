package rig

import "testing"

func TestCodesAreFoundInTheText(t *testing.T) {
	for _, c := range []struct{ name, message, want string }{
		{"plain", "Subject: 123456\r\n\r\n654321 is your code\r\n", "654321"},
		{"base64 over lines", "Content-Transfer-Encoding: base64\r\n\r\nNjU0MzIxIGlz\r\nIHlvdXIgY29kZQ==\r\n", "654321"},
		{"quoted-printable", "Content-Transfer-Encoding: quoted-printable\r\n\r\ncode 6543=\r\n21 it is\r\n", "654321"},
		{"a notice", "Subject: changed\r\n\r\nYour password was changed.\r\n", ""},
		{"a longer number", "Subject: x\r\n\r\n1234567\r\n", ""},
		{"no message", "nothing", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			letter, err := readLetter([]byte(c.message))
			if got := letter.Code(); got != c.want || (err != nil) != (c.name == "no message") {
				t.Errorf("got %q, want %q, %v", got, c.want, err)
			}
		})
	}
}

func TestEachAccountHasANetworkOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range []int{0, 1, 255, 256, 65535, 65536, 1<<20 - 1, 1 << 20} {
		seen[Network(n)] = true
	}
	if len(seen) != 8 {
		t.Errorf("some share one: %v", seen)
	}
}
