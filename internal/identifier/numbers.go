package identifier

import (
	"regexp"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

var residentForm = regexp.MustCompile(`^[0-9]{17}[0-9Xx]$`)

func residentShape(compact string) bool { return residentForm.MatchString(compact) }

// residentRegions are the first two digits in use (GB/T 2260): the mainland's
// province-level divisions, then 71, 81 and 82 of residence permits.
const residentRegions = "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82"

// residentWeights and residentChecks are those of GB 11643-1999: the weight of
// position i is 2^(17−i) mod 11, the check characters are ordered by remainder.
var residentWeights = [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}

const residentChecks = "10X98765432"

// readResidentID gives 18 characters with X upper: a region that exists, a day
// that exists from 1900 on, and the right check character. Whether the day is
// in the future is for whoever has a clock.
func readResidentID(text string) (string, bool) {
	id := strings.ToUpper(squeeze(norm.NFKC.String(text)))
	if !residentShape(id) || !strings.Contains(residentRegions, id[:2]) {
		return "", false
	}
	if born, err := time.Parse("20060102", id[6:14]); err != nil || born.Year() < 1900 {
		return "", false
	}
	sum := 0
	for i, weight := range residentWeights {
		sum += int(id[i]-'0') * weight
	}
	return id, residentChecks[sum%11] == id[17]
}

// readIMEI gives 15 digits with the right Luhn digit (3GPP TS 23.003 annex B).
func readIMEI(text string) (string, bool) {
	imei := strings.ReplaceAll(squeeze(norm.NFKC.String(text)), "/", "")
	if len(imei) != 15 || !allDigits(imei) {
		return "", false
	}
	sum := 0
	for i := range imei {
		d := int(imei[i] - '0')
		if i%2 == 1 { // every second digit, counted from the check digit
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return imei, sum%10 == 0
}
