package kanneltest

import (
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf16"
)

// part is one short message; a long text has several.
type part struct {
	from, to   string
	data       string // octets, or characters where plain
	plain      bool   // a 7 bit text, already characters
	key        string // of the text that it belongs to, empty when whole
	seq, total int
}

// parse reads one line of fakesmsc's log, such as
//
//	… DEBUG: Got message 1: <1069 +8613800001234 ucs-2 w%ED>
//	… DEBUG: Got message 2: <1069 +8613800001234 udh %05%00%03%00%03%01 data 0%10…>
//
// The second form has a user data header that numbers the parts (3GPP TS 23.040
// §9.2.3.24.1). ok is false for lines about other things.
func parse(line string) (p part, ok bool, err error) {
	_, rest, found := strings.Cut(line, "Got message ")
	if !found {
		return part{}, false, nil
	}
	_, rest, found = strings.Cut(rest, ": <")
	rest, closed := strings.CutSuffix(rest, ">")
	fields := strings.SplitN(rest, " ", 4)
	if !found || !closed || len(fields) != 4 {
		return part{}, false, fmt.Errorf("fakesmsc logged a message in an unknown form: %s", line)
	}
	p = part{from: fields[0], to: fields[1], seq: 1, total: 1}
	kind, data := fields[2], fields[3]
	if kind == "udh" {
		header, after, _ := strings.Cut(data, " ")
		kind, data, _ = strings.Cut(after, " ")
		udh, err := url.QueryUnescape(header)
		if err != nil || len(udh) != 6 || !strings.HasPrefix(udh, "\x05\x00\x03") {
			return part{}, false, fmt.Errorf("fakesmsc logged a header that does not number parts: %s", line)
		}
		p.key = fmt.Sprintf("%s %s %d", p.from, p.to, udh[3])
		p.total, p.seq = int(udh[4]), int(udh[5])
	}
	switch kind {
	case "text":
		p.plain, p.data = true, data
		return p, true, nil
	case "ucs-2", "data":
		if p.data, err = url.QueryUnescape(data); err != nil {
			return part{}, false, fmt.Errorf("fakesmsc logged octets that do not decode: %s", line)
		}
		return p, true, nil
	}
	return part{}, false, fmt.Errorf("fakesmsc logged a message of unknown kind %q", kind)
}

// join collects the parts of a text and gives it once they are all there.
func (g *Gateway) join(p part) (text string, parts int, whole bool) {
	pieces := []string{p.data}
	if p.key != "" {
		pieces = g.partial[p.key]
		if pieces == nil {
			pieces = make([]string, p.total)
			g.partial[p.key] = pieces
		}
		if p.seq >= 1 && p.seq <= len(pieces) {
			pieces[p.seq-1] = p.data
		}
		for _, piece := range pieces {
			if piece == "" {
				return "", 0, false
			}
		}
		delete(g.partial, p.key)
	}
	data := strings.Join(pieces, "")
	if p.plain {
		return data, len(pieces), true
	}
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16([]byte(data[2*i : 2*i+2]))
	}
	return string(utf16.Decode(units)), len(pieces), true
}
